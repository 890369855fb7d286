//! Payloads, made once and sent many times: making them is slower than sending them.

use flate2::{Compress, Compression, FlushCompress};

use super::random::Random;

/// Bytes of noise that binary payloads are cut from.
const NOISE: usize = 4 << 20;
/// Different text messages.
const TEXTS: usize = 8192;
/// Messages in one story.
pub(crate) const STORY: usize = 400;

/// Consecutive compressed messages of one direction (RFC 7692 §7.2.1). The compressor began the story with an
/// empty window, so a story can follow any other: it never refers to bytes before its own first one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Story {
    bytes: Vec<u8>,
    /// End of each message in `bytes`, and its length before compression.
    ends: Vec<(u32, u32)>,
}

impl Story {
    /// The `index`th message: as on the wire, and its length inflated. `None` after the last.
    pub(crate) fn message(&self, index: usize) -> Option<(&[u8], u32)> {
        let &(end, plain) = self.ends.get(index)?;
        let start = if index == 0 { 0 } else { self.ends[index - 1].0 };
        Some((&self.bytes[start as usize..end as usize], plain))
    }
}

/// All payloads.
#[derive(Debug, Default)]
pub(crate) struct Payloads {
    pub(crate) texts: Vec<Vec<u8>>,
    noise: Vec<u8>,
    /// What clients and servers tell when they compress.
    pub(crate) stories: [Vec<Story>; 2],
}

impl Payloads {
    /// Texts, noise and `stories` compressed stories for each direction.
    pub(crate) fn new(seed: u64, stories: usize) -> Self {
        let mut random = Random::new(seed ^ 0x7061_796c_6f61_6473);
        let texts = (0..TEXTS).map(|_| text(&mut random)).collect();
        let mut noise = vec![0; NOISE];
        random.fill(&mut noise);
        let seeds: Vec<u64> = (0..stories).map(|_| random.bits()).collect();
        let workers = std::thread::available_parallelism().map_or(1, usize::from).min(8);
        let per_worker = stories.div_ceil(workers).max(1);
        let told: Vec<[Story; 2]> = std::thread::scope(|scope| {
            let handles: Vec<_> = seeds
                .chunks(per_worker)
                .map(|seeds| {
                    scope.spawn(move || {
                        seeds.iter().map(|&seed| [tell(seed, false), tell(!seed, true)]).collect::<Vec<_>>()
                    })
                })
                .collect();
            handles.into_iter().flat_map(|handle| handle.join().expect("a story is told without panic")).collect()
        });
        let mut both = [Vec::new(), Vec::new()];
        for [client, server] in told {
            both[0].push(client);
            both[1].push(server);
        }
        Payloads { texts, noise, stories: both }
    }

    /// `length` bytes of noise, from a random place.
    pub(crate) fn noise(&self, random: &mut Random, length: usize) -> &[u8] {
        let start = random.below((self.noise.len() - length) as u64) as usize;
        &self.noise[start..start + length]
    }
}

/// One tick: 60 to 200 bytes of JSON, short ones more often.
fn text(random: &mut Random) -> Vec<u8> {
    const SYMBOLS: [&str; 8] = ["EURUSD", "BTC-USDT", "AAPL", "MSFT", "ÖBB", "XAUUSD", "ETH-USDT", "NIFTY"];
    let wanted = 60 + random.below(141).min(random.below(141)) as usize;
    let mut out = format!(
        r#"{{"s":"{}","b":{}.{:04},"a":{}.{:04},"t":17961{:08}"#,
        random.pick(&SYMBOLS),
        random.below(9000),
        random.below(10_000),
        random.below(9000),
        random.below(10_000),
        random.below(100_000_000),
    );
    while out.len() + 12 < wanted {
        out.push_str(&format!(r#","{}":{}"#, char::from(b'c' + random.below(20) as u8), random.below(100_000)));
    }
    out.push('}');
    out.into_bytes()
}

/// Compresses one story. Servers send long lists of similar things, clients short commands.
fn tell(seed: u64, server: bool) -> Story {
    let mut random = Random::new(seed);
    let mut compress = Compress::new(Compression::new(6), false);
    let mut story = Story::default();
    let mut plain = Vec::new();
    let mut packed = Vec::new();
    for number in 0..STORY {
        plain.clear();
        if server {
            listing(&mut random, number, &mut plain)
        } else {
            command(&mut random, number, &mut plain)
        }
        packed.clear();
        packed.reserve(plain.len() + 1024);
        compress
            .compress_vec(&plain, &mut packed, FlushCompress::Sync)
            .expect("deflate into a buffer that is large enough");
        debug_assert!(packed.ends_with(&[0, 0, 0xff, 0xff]));
        packed.truncate(packed.len() - 4);
        story.bytes.extend_from_slice(&packed);
        story.ends.push((story.bytes.len() as u32, plain.len() as u32));
    }
    story
}

fn listing(random: &mut Random, number: usize, out: &mut Vec<u8>) {
    use std::io::Write;
    const STATES: [&str; 4] = ["open", "partially_filled", "filled", "cancelled"];
    let mut put = |text: std::fmt::Arguments<'_>| out.write_fmt(text).expect("memory takes every write");
    put(format_args!(r#"{{"channel":"orders","sequence":{},"items":["#, 1_000_000 + number));
    let items = random.between(4, 42);
    for item in 0..items {
        let comma = if item == 0 { "" } else { "," };
        put(format_args!(
            r#"{comma}{{"id":"{:012x}","symbol":"EURUSD","side":"{}","state":"{}","price":1.{:04},"quantity":{}}}"#,
            random.below(1 << 48),
            if random.percent(50) { "buy" } else { "sell" },
            random.pick(&STATES),
            random.between(800, 900),
            random.below(100_000),
        ));
    }
    put(format_args!("]}}"));
}

fn command(random: &mut Random, number: usize, out: &mut Vec<u8>) {
    use std::io::Write;
    write!(
        out,
        r#"{{"id":{number},"method":"subscribe","params":{{"channel":"orders","symbol":"EURUSD","depth":{},"token":"{:016x}"}}}}"#,
        random.between(5, 50),
        random.bits(),
    )
    .expect("memory takes every write");
}

//! Packets from a network interface, through libpcap, with one reader or with several (see `readers`).
//!
//! With several readers the kernel distributes the packets among them; the caller sees no difference.

#[cfg(target_os = "linux")]
use std::os::fd::AsFd;
#[cfg(target_os = "linux")]
use std::thread;
#[cfg(target_os = "linux")]
use std::time::Duration;

use super::error::{Error, pcap_message};
use super::handle::{Handle, LiveOptions, LiveStatistics, StopHandle, interface_lost, wall_clock};
#[cfg(target_os = "linux")]
use super::readers::READERS_TIMEOUT_MS;
use super::readers::Readers;
use crate::packet::Batch;

/// After how many milliseconds the kernel hands over a ring block that is not full.
const KERNEL_TIMEOUT_MS: i32 = 50;

/// Most readers of one interface. Each takes more packets out of the kernel's buffer than one processor can put in.
#[cfg(target_os = "linux")]
const MAX_READERS: usize = 8;

/// Least buffer of one of several readers: eight of the blocks that libpcap asks for.
#[cfg(target_os = "linux")]
const READER_BUFFER_KIB: u32 = 2 << 10;

/// How long packets may still be on their way to a reader after the last one has joined. (The kernel hands them over
/// with interrupts disabled: microseconds.)
#[cfg(target_os = "linux")]
const JOIN_DELAY: Duration = Duration::from_millis(5);

/// A running capture on an interface.
pub struct Live {
    backend: Backend,
    interface: String,
    single_reader_reason: Option<String>,
    stop: StopHandle,
    packets: u64,
    left: u64,
    ended: bool,
}

enum Backend {
    Single(Handle),
    Group(Readers),
}

impl Live {
    /// Opens the interface and starts to capture.
    ///
    /// # Errors
    /// When there is no such interface (the text lists those there are), the permission is missing (the text
    /// says how to grant it), the interface is down, or the filter is wrong.
    pub fn open(options: LiveOptions) -> Result<Self, Error> {
        let stop = StopHandle::default();
        let (group, single_reader_reason) = match open_group(&options, &stop) {
            Ok(group) => (group, None),
            Err(reason) => (None, Some(reason)),
        };
        let backend = match group {
            Some(readers) => Backend::Group(readers),
            None => Backend::Single(Handle::open(&options, options.buffer_kib, KERNEL_TIMEOUT_MS)?),
        };
        let LiveOptions { interface, count, .. } = options;
        let left = count.unwrap_or(u64::MAX);
        Ok(Self { backend, interface, single_reader_reason, stop, packets: 0, left, ended: false })
    }

    /// The interface's name.
    #[must_use]
    pub fn interface(&self) -> &str {
        &self.interface
    }

    /// How many readers there are.
    #[must_use]
    pub fn readers(&self) -> usize {
        match &self.backend {
            Backend::Single(_) => 1,
            Backend::Group(readers) => readers.count(),
        }
    }

    /// Why there is one reader although more were asked for.
    #[must_use]
    pub(crate) fn single_reader_reason(&self) -> Option<&str> {
        self.single_reader_reason.as_deref()
    }

    /// Packets handed on so far.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// A handle that stops this capture from another thread.
    #[must_use]
    pub(crate) fn stop_handle(&self) -> StopHandle {
        self.stop.clone()
    }

    /// Fills `batch` with what has arrived, waiting at most some 100 ms for the first packet; the batch is
    /// empty when none came. `false` when the capture is over: it was stopped, or has its count; a batch
    /// that comes with `false` is empty.
    ///
    /// # Errors
    /// When the interface disappears or goes down. Packets that arrived before are handed on first.
    pub(crate) fn next_batch(&mut self, batch: &mut Batch) -> Result<bool, Error> {
        batch.arena.clear();
        batch.packets.clear();
        batch.first_packet = self.packets + 1;
        if self.ended || self.left == 0 {
            return Ok(false);
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX);
        let result = match &mut self.backend {
            Backend::Single(handle) => handle.next_batch(batch, most, &self.stop),
            Backend::Group(readers) => readers.next_batch(batch, most),
        };
        let got = batch.packets.len() as u64;
        self.packets += got;
        self.left -= got.min(self.left);
        self.ended = !matches!(result, Ok(true));
        result.map_err(|error| interface_lost(&self.interface, &error))
    }

    /// The time up to which all packets have been handed on, in nanoseconds since the epoch, provided that the last
    /// batch was not full. `None` where that is not known.
    #[must_use]
    pub(crate) fn watermark(&self) -> Option<i64> {
        match &self.backend {
            Backend::Single(_) => Some(wall_clock()),
            Backend::Group(readers) => readers.watermark(),
        }
    }

    /// What the kernel counted since the capture was opened, for all readers together. Its own counters have 32
    /// bits; ask at least once in four thousand million packets.
    ///
    /// # Errors
    /// When the interface does not count.
    pub(crate) fn statistics(&mut self) -> Result<LiveStatistics, Error> {
        let counts = match &mut self.backend {
            Backend::Single(handle) => handle.statistics(),
            Backend::Group(readers) => readers.statistics(),
        };
        counts
            .map_err(|error| Error::new(format!("{} does not count packets: {}", self.interface, pcap_message(&error))))
    }
}

/// Starts as many readers as are wanted and possible; `None` when one is enough.
///
/// # Errors
/// Why there cannot be several although they are wanted.
#[cfg(target_os = "linux")]
fn open_group(options: &LiveOptions, stop: &StopHandle) -> Result<Option<Readers>, String> {
    let room = (options.buffer_kib / READER_BUFFER_KIB).max(1);
    let readers = options.readers.min(MAX_READERS).min(room as usize);
    if options.readers <= 1 {
        return Ok(None);
    }
    if readers == 1 {
        return Err(format!("{} KiB are one reader's buffer", options.buffer_kib));
    }
    let handles = open_handles(options, readers)?;
    Readers::start(handles, stop.clone()).map(Some).map_err(|error| format!("no threads: {error}"))
}

/// Opens `readers` handles in one fanout group: each packet reaches exactly one of them.
#[cfg(target_os = "linux")]
fn open_handles(options: &LiveOptions, readers: usize) -> Result<Vec<Handle>, String> {
    let interface = &options.interface;
    if interface != "any" && !std::path::Path::new("/sys/class/net").join(interface).exists() {
        return Err(format!("{interface} is no network interface"));
    }
    let share = options.buffer_kib / readers as u32;
    let open = || Handle::open(options, share, READERS_TIMEOUT_MS);
    let mut handles = (0..readers).map(|_| open()).collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
    let link = handles[0].link;
    if handles.iter().any(|handle| handle.link != link) {
        return Err(format!("the readers of {interface} do not agree on its link type"));
    }
    let sockets: Vec<_> = handles.iter().map(|handle| handle.capture.as_fd()).collect();
    super::fanout::join(&sockets).map_err(|error| format!("the kernel cannot share {interface} out: {error}"))?;
    // Until the last handle has joined, a packet may reach several of them. The capture begins after that, and after
    // the packets that were on their way.
    thread::sleep(JOIN_DELAY);
    let begin = wall_clock();
    handles.iter_mut().for_each(|handle| handle.begin(begin));
    Ok(handles)
}

#[cfg(not(target_os = "linux"))]
fn open_group(options: &LiveOptions, _: &StopHandle) -> Result<Option<Readers>, String> {
    if options.readers > 1 { Err("this system shares no interface out".to_owned()) } else { Ok(None) }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::thread;
    use std::time::{Duration, Instant};

    use super::super::handle::PATIENCE;
    use super::*;
    use crate::packet::LinkType;

    /// Opens the loopback interface, or says why the test cannot run.
    fn loopback(options: impl FnOnce(&mut LiveOptions), name: &str) -> Option<Live> {
        let mut wanted = LiveOptions::new(name);
        options(&mut wanted);
        match Live::open(wanted) {
            Ok(live) => Some(live),
            Err(error) if error.to_string().contains("permission") => {
                eprintln!("skipped: {error}");
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Sends one message over a TCP connection of its own.
    fn talk(listener: &TcpListener, message: &[u8]) {
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        client.write_all(message).unwrap();
        drop(client);
        let mut heard = Vec::new();
        server.read_to_end(&mut heard).unwrap();
        assert_eq!(heard, message);
    }

    fn capture_a_talk(name: &str, link: u16, readers: usize) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let filter = format!("tcp port {port}");
        let Some(mut live) = loopback(|options| (options.filter, options.readers) = (Some(filter), readers), name)
        else {
            return;
        };
        assert_eq!(live.readers(), if live.single_reader_reason().is_none() { readers } else { 1 });
        let before = wall_clock();
        talk(&listener, b"a message nobody else sends");
        let stop = live.stop_handle();
        let mut batch = Batch::default();
        let mut times = Vec::new();
        let mut seen = false;
        let started = Instant::now();
        while live.next_batch(&mut batch).unwrap() {
            assert_eq!(batch.first_packet, times.len() as u64 + 1);
            for packet in batch.iter() {
                assert_eq!(packet.link, LinkType(link));
                times.push(packet.stamp.at);
                seen |= packet.bytes.ends_with(b"a message nobody else sends");
            }
            // Three packets open the connection, one speaks; more acknowledge and close.
            if times.len() >= 6 || started.elapsed() > Duration::from_secs(10) {
                stop.stop();
            }
        }
        let after = wall_clock();
        assert!(times.len() >= 6 && seen);
        assert!(readers == 1 || times.is_sorted(), "readers bring their packets in order: {times:?}");
        assert!(times.iter().all(|&at| (before - 1_000_000_000..after + 1_000_000_000).contains(&at)));
        assert!(times.iter().any(|at| at % 1000 != 0), "times have nanoseconds");
        let statistics = live.statistics().unwrap();
        assert!(statistics.received >= times.len() as u64);
        assert_eq!(statistics.dropped, 0);
        assert!(!live.next_batch(&mut batch).unwrap(), "an end is an end");
    }

    #[test]
    fn a_conversation_over_loopback_is_captured() {
        if cfg!(target_os = "linux") {
            capture_a_talk("lo", 1, 1);
            capture_a_talk("lo", 1, 4);
        }
    }

    #[test]
    fn all_interfaces_at_once_tell_their_interface() {
        if cfg!(target_os = "linux") {
            capture_a_talk("any", 276, 1);
            capture_a_talk("any", 276, 4);
        }
    }

    #[test]
    fn the_count_ends_the_capture() {
        if !cfg!(target_os = "linux") {
            return;
        }
        for readers in [1, 2] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let filter = format!("tcp port {}", listener.local_addr().unwrap().port());
            let options = |options: &mut LiveOptions| {
                options.filter = Some(filter);
                options.count = Some(4);
                options.snaplen = 60;
                options.buffer_kib = 4096;
                options.readers = readers;
            };
            let Some(mut live) = loopback(options, "lo") else { return };
            talk(&listener, &[b'x'; 3000]);
            let mut batch = Batch::default();
            let mut packets = 0;
            let mut cut = false;
            while live.next_batch(&mut batch).unwrap() {
                packets += batch.packets.len();
                cut |= batch.iter().any(|packet| packet.bytes.len() == 60 && packet.original_len > 60);
            }
            assert_eq!((packets, live.packets()), (4, 4));
            assert!(cut, "the snap length cuts");
        }
    }

    #[test]
    fn a_small_buffer_is_for_one() {
        let Some(live) = loopback(|options| (options.readers, options.buffer_kib) = (4, 3000), "lo") else { return };
        assert_eq!(live.readers(), 1);
        assert!(live.single_reader_reason().is_some());
        let Some(live) = loopback(|options| (options.readers, options.buffer_kib) = (4, 6144), "lo") else { return };
        assert_eq!(live.readers(), if live.single_reader_reason().is_none() { 3 } else { 1 });
    }

    /// What the kernel promises, and what makes several readers worth it: a connection has one reader, and connections
    /// have several.
    #[test]
    #[cfg(target_os = "linux")]
    fn the_kernel_keeps_the_directions_of_a_connection_together() {
        use std::collections::{BTreeMap, BTreeSet};

        const READERS: usize = 4;
        const CONNECTIONS: usize = 64;
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(address) else {
                eprintln!("skipped: no {address}");
                continue;
            };
            let port = listener.local_addr().unwrap().port();
            let mut options = LiveOptions::new("lo");
            options.filter = Some(format!("tcp port {port}"));
            let mut handles = match open_handles(&options, READERS) {
                Ok(handles) => handles,
                Err(why) => {
                    eprintln!("skipped: {why}");
                    return;
                }
            };
            for _ in 0..CONNECTIONS {
                talk(&listener, b"to and fro");
            }
            thread::sleep(Duration::from_millis(200));
            // By the port of the client: readers, and both directions.
            let mut found: BTreeMap<u16, (BTreeSet<usize>, BTreeSet<bool>)> = BTreeMap::new();
            for (reader, handle) in handles.iter_mut().enumerate() {
                let mut batch = Batch { first_packet: 1, ..Batch::default() };
                assert!(handle.drain(&mut batch, usize::MAX).1.is_none());
                for packet in batch.iter() {
                    let crate::packet::Decoded::Segment(segment) = crate::packet::decode(packet) else {
                        panic!("no TCP: {:x?}", packet.bytes)
                    };
                    let to_server = segment.destination.port == port;
                    let client = if to_server { segment.source } else { segment.destination };
                    let (readers, directions) = found.entry(client.port).or_default();
                    readers.insert(reader);
                    directions.insert(to_server);
                }
                assert_eq!(handle.statistics().unwrap().dropped, 0);
            }
            assert_eq!(found.len(), CONNECTIONS);
            assert!(
                found.values().all(|(readers, directions)| readers.len() == 1 && directions.len() == 2),
                "{found:?}"
            );
            let used: BTreeSet<usize> = found.values().flat_map(|(readers, _)| readers).copied().collect();
            assert_eq!(used.len(), READERS, "{address}");
        }
    }

    #[test]
    fn an_idle_interface_returns_and_stops_at_once() {
        if !cfg!(target_os = "linux") {
            return;
        }
        for readers in [1, 4] {
            let nothing = |options: &mut LiveOptions| {
                options.filter = Some("ether proto 0x1234".into());
                options.readers = readers;
            };
            let Some(mut live) = loopback(nothing, "lo") else { return };
            let mut batch = Batch::default();
            let started = Instant::now();
            assert!(live.next_batch(&mut batch).unwrap());
            assert!(batch.packets.is_empty());
            assert!(started.elapsed() >= PATIENCE && started.elapsed() < Duration::from_secs(5));
            let reached = live.watermark().unwrap();
            assert!((0..1_000_000_000).contains(&(wall_clock() - reached)));
            let stop = live.stop_handle();
            let thread = thread::spawn(move || while live.next_batch(&mut batch).unwrap() {});
            let stopped = Instant::now();
            stop.stop();
            thread.join().unwrap();
            assert!(stop.is_stopped() && stopped.elapsed() < Duration::from_secs(1));
        }
    }

    #[test]
    fn an_unknown_interface_lists_the_known_ones() {
        let error = Live::open(LiveOptions::new("nonesuch0")).err().unwrap().to_string();
        if !error.contains("no permission") {
            assert!(error.contains("there is no interface nonesuch0"), "{error}");
            if cfg!(target_os = "linux") {
                assert!(error.contains("lo"), "{error}");
            }
        }
    }

    #[test]
    fn a_wrong_filter_is_told() {
        let Some(_) = loopback(|_| {}, if cfg!(target_os = "linux") { "lo" } else { "lo0" }) else { return };
        let mut options = LiveOptions::new(if cfg!(target_os = "linux") { "lo" } else { "lo0" });
        options.filter = Some("tcp prt 3".into());
        let error = Live::open(options).err().unwrap().to_string();
        assert!(error.contains("syntax error") && error.contains("tcp prt 3"), "{error}");
    }
}

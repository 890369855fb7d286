use wsscan::capture::*;
use wsscan::packet::*;
fn main() {
    let args: Vec<String> = std::env::args().collect();
    match args[1].as_str() {
        "list" => {
            let ins: Vec<Input> = args[2..].iter().map(Input::from_argument).collect();
            let mut c = match Capture::open(&ins) {
                Ok(c) => c,
                Err(e) => {
                    eprintln!("{e}");
                    std::process::exit(2)
                }
            };
            let mut b = Batch::default();
            while c.next_batch(&mut b) {
                for p in b.iter() {
                    println!(
                        "{}\t{}.{:09}\t{}\t{}",
                        p.stamp.packet,
                        p.stamp.at / 1_000_000_000,
                        p.stamp.at % 1_000_000_000,
                        p.bytes.len(),
                        p.original_len
                    );
                }
            }
            for f in c.files() {
                eprintln!("{f:?}")
            }
            for s in c.take_secrets() {
                eprintln!("{}", String::from_utf8_lossy(&s).lines().count())
            }
        }
        "speed" => {
            let bytes = std::fs::read(&args[2]).unwrap();
            let mut pk = Vec::with_capacity(10_000_000);
            for _ in 0..4 {
                pk.clear();
                let mut w = Walker::new();
                let t = std::time::Instant::now();
                w.walk(&bytes, 0, true, &mut pk);
                let d = t.elapsed();
                println!(
                    "walk in memory: {} packets {:?} {:.2} ns/packet {:.2} GB/s",
                    w.packets(),
                    d,
                    d.as_nanos() as f64 / w.packets() as f64,
                    bytes.len() as f64 / d.as_nanos() as f64
                );
            }
            for size in [65536usize, 131072, 262144, 524288, 1 << 20] {
                let mut best = f64::MAX;
                for _ in 0..3 {
                    let mut w = Walker::new();
                    let t = std::time::Instant::now();
                    let mut at = 0;
                    let mut pk = Vec::new();
                    while at < bytes.len() {
                        pk.clear();
                        let end = (at + size).min(bytes.len());
                        let r = w.walk(&bytes[at..end], 0, end == bytes.len(), &mut pk);
                        at += r.end;
                        if r.need == 0 {
                            break;
                        }
                    }
                    best = best.min(t.elapsed().as_nanos() as f64);
                }
                println!("walk pieces {size}: {:.2} ns/packet", best / pk.len().max(1) as f64);
            }
            for _ in 0..4 {
                let t = std::time::Instant::now();
                let mut c = Capture::open(&[Input::from_argument(&args[2])]).unwrap();
                let mut b = Batch::default();
                let mut n = 0u64;
                while c.next_batch(&mut b) {
                    n += b.packets.len() as u64
                }
                let d = t.elapsed();
                println!(
                    "next_batch: {n} packets {:?} {:.2} ns/packet {:.2} GB/s",
                    d,
                    d.as_nanos() as f64 / n as f64,
                    c.files()[0].bytes as f64 / d.as_nanos() as f64
                );
            }
        }
        _ => {}
    }
}

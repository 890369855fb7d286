//! Packets from a network interface, through libpcap.
//!
//! The interface is read without blocking: libpcap's ring is emptied in bulk, and between two looks the
//! thread sleeps for at most a few milliseconds. So an idle interface returns the control as promptly as a busy one, and
//! stopping needs no signal.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use pcap::{Active, Linktype, Precision};

use super::error::Error;
use super::interfaces::interfaces;
use super::link_type::{from_libpcap, link_type_name};
use super::source::ARENA_SIZE;
use crate::packet::{Batch, LinkType, PacketRef};

/// How long a batch waits for packets.
const PATIENCE: Duration = Duration::from_millis(100);

/// Pauses between two looks at an interface that has nothing: the first, doubled up to the longest.
const SHORTEST_NAP: Duration = Duration::from_micros(500);
const LONGEST_NAP: Duration = Duration::from_millis(8);

/// After how many milliseconds the kernel hands over a ring block that is not full.
const KERNEL_TIMEOUT_MS: i32 = 50;

/// Most packets taken from libpcap in one call.
const PACKETS_PER_CALL: usize = 1024;

/// Snap length when none is asked for: all of every packet. libpcap's own largest.
pub const DEFAULT_SNAPLEN: u32 = 262_144;

/// Size of the kernel's buffer in KiB when none is asked for. libpcap's own 2 MiB hold no more than what a
/// local connection sends in a millisecond or two.
pub const DEFAULT_BUFFER_KIB: u32 = 16 << 10;

/// `LINKTYPE_LINUX_SLL2`: what the device `any` gives when asked; it tells the interface of each packet.
const LINUX_SLL2: i32 = 276;

/// What to capture, and how: the options of tcpdump.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveOptions {
    /// Name of the interface; `any` is all of them (Linux).
    pub interface: String,
    /// Bytes kept of each packet; at most [`DEFAULT_SNAPLEN`].
    pub snaplen: u32,
    /// Size of the kernel's buffer in KiB.
    pub buffer_kib: u32,
    /// Whether to ask the interface for packets that are addressed to others.
    pub promiscuous: bool,
    /// A filter in libpcap's language, applied by the kernel where it can.
    pub filter: Option<String>,
    /// Stop after so many packets.
    pub count: Option<u64>,
}

impl LiveOptions {
    /// All of every packet on `interface`.
    #[must_use]
    pub fn new(interface: impl Into<String>) -> Self {
        Self {
            interface: interface.into(),
            snaplen: DEFAULT_SNAPLEN,
            buffer_kib: DEFAULT_BUFFER_KIB,
            promiscuous: true,
            filter: None,
            count: None,
        }
    }
}

/// What the kernel counted since the capture was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LiveStatistics {
    /// Packets that passed the filter, including those dropped afterwards (on Linux, where the loopback
    /// interface counts each twice).
    pub received: u64,
    /// Packets lost because they were not read fast enough: the kernel's buffer was full.
    pub dropped: u64,
    /// Packets lost by the interface or its driver, where that is known.
    pub if_dropped: u64,
}

/// Stops a capture from another thread.
#[derive(Clone, Debug)]
pub struct StopHandle(Arc<AtomicBool>);

impl StopHandle {
    /// Asks the capture to end. Its [`Live::next_batch`] hands on what has arrived and then gives `false`.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether the capture was asked to end.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// A running capture on an interface.
pub struct Live {
    handle: pcap::Capture<Active>,
    interface: String,
    link: LinkType,
    /// Nanoseconds per unit of the fraction in libpcap's times: 1 or 1000.
    unit: i64,
    stop: StopHandle,
    packets: u64,
    left: u64,
    statistics: LiveStatistics,
    /// libpcap's 32-bit counters as last read, which wrap.
    counters: [u32; 3],
    ended: bool,
}

impl Live {
    /// Opens the interface and starts to capture.
    ///
    /// # Errors
    /// When there is no such interface (the text lists those there are), the permission is missing (the text
    /// says how to grant it), the interface is down, or the filter is wrong.
    pub fn open(options: LiveOptions) -> Result<Self, Error> {
        let LiveOptions { interface, snaplen, buffer_kib, promiscuous, filter, count } = options;
        let nanoseconds = has_nanoseconds(&interface);
        let snaplen = if snaplen == 0 { DEFAULT_SNAPLEN } else { snaplen.min(DEFAULT_SNAPLEN) };
        let open = |promiscuous: bool| {
            let mut inactive = pcap::Capture::from_device(interface.as_str())?
                .snaplen(snaplen as i32)
                .promisc(promiscuous)
                .timeout(KERNEL_TIMEOUT_MS)
                .buffer_size(i32::try_from(u64::from(buffer_kib) * 1024).unwrap_or(i32::MAX));
            if nanoseconds {
                inactive = inactive.precision(Precision::Nano);
            }
            inactive.open()
        };
        // `any` cannot be made promiscuous, nor can some drivers; libpcap then warns, and the crate takes the
        // warning for a failure. Without it such interfaces are captured as they can be.
        let promiscuous = promiscuous && interface != "any";
        let opened = match open(promiscuous) {
            Err(_) if promiscuous => open(false),
            other => other,
        };
        let mut handle = opened.map_err(|error| cannot_open(&interface, &error))?;
        if interface == "any" {
            // Where SLL2 is not to be had, the older SLL is what it gives anyway.
            let _ = handle.set_datalink(Linktype(LINUX_SLL2));
        }
        let link = from_libpcap(handle.get_datalink().0);
        if let Some(expression) = &filter {
            handle.filter(expression, true).map_err(|error| {
                Error::new(format!(
                    "the filter {expression:?} cannot be used on {interface} ({}): {}; \
                     write it as for tcpdump, for example: tcp port 3000 and host 10.0.0.7 (man pcap-filter)",
                    link_type_name(link),
                    words(&error),
                ))
            })?;
        }
        let handle = handle.setnonblock().map_err(|error| cannot_open(&interface, &error))?;
        Ok(Self {
            handle,
            interface,
            link,
            unit: if nanoseconds { 1 } else { 1000 },
            stop: StopHandle(Arc::new(AtomicBool::new(false))),
            packets: 0,
            left: count.unwrap_or(u64::MAX),
            statistics: LiveStatistics::default(),
            counters: [0; 3],
            ended: false,
        })
    }

    /// The interface's name.
    #[must_use]
    pub fn interface(&self) -> &str {
        &self.interface
    }

    /// How packets from here begin.
    #[must_use]
    pub fn link_type(&self) -> LinkType {
        self.link
    }

    /// Packets handed on so far.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// Stops this capture from another thread.
    #[must_use]
    pub fn stop_handle(&self) -> StopHandle {
        self.stop.clone()
    }

    /// Fills `batch` with what has arrived, waiting at most some 100 ms for the first packet; the batch is
    /// empty when none came. `false` when the capture is over: it was stopped, or has its count; a batch
    /// that comes with `false` is empty.
    ///
    /// # Errors
    /// When the interface disappears or goes down. Packets that arrived before are handed on first.
    pub fn next_batch(&mut self, batch: &mut Batch) -> Result<bool, Error> {
        batch.arena.clear();
        batch.packets.clear();
        batch.first_packet = self.packets + 1;
        if self.ended || self.left == 0 {
            return Ok(false);
        }
        let deadline = Instant::now() + PATIENCE;
        let mut nap = SHORTEST_NAP;
        loop {
            // Looked at before the packets are fetched, so that what came before the stop is still handed on.
            let stopping = self.stop.is_stopped();
            let got = match self.fetch(batch) {
                Ok(got) => got,
                Err(error) if batch.packets.is_empty() => {
                    self.ended = true;
                    return Err(lost(&self.interface, &error));
                }
                // The next call will meet the error again.
                Err(_) => 0,
            };
            let full = batch.arena.len() >= ARENA_SIZE || self.left == 0;
            if full || (got == 0 && !batch.packets.is_empty()) {
                return Ok(true);
            }
            if got == 0 && stopping {
                self.ended = true;
                return Ok(false);
            }
            if Instant::now() >= deadline {
                return Ok(true);
            }
            if got == 0 {
                thread::sleep(nap);
                nap = LONGEST_NAP.min(nap * 2);
            }
        }
    }

    /// Takes what libpcap has ready, up to a bound.
    fn fetch(&mut self, batch: &mut Batch) -> Result<usize, pcap::Error> {
        let (link, unit) = (self.link, self.unit);
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(PACKETS_PER_CALL);
        let before = batch.packets.len();
        #[allow(clippy::unnecessary_cast, reason = "the two fields have other types on other systems")]
        let result = self.handle.dispatch(Some(wanted), |packet| {
            let header = packet.header;
            batch.packets.push(PacketRef {
                at: (header.ts.tv_sec as i64)
                    .saturating_mul(1_000_000_000)
                    .saturating_add((header.ts.tv_usec as i64).saturating_mul(unit)),
                offset: batch.arena.len() as u32,
                captured: packet.data.len() as u32,
                original: header.len,
                link,
            });
            batch.arena.extend_from_slice(packet.data);
        });
        let got = batch.packets.len() - before;
        self.packets += got as u64;
        self.left -= (got as u64).min(self.left);
        result.map(|_| got)
    }

    /// What the kernel counted since the capture was opened. Its own counters have 32 bits; ask at least
    /// once in four thousand million packets.
    ///
    /// # Errors
    /// When the interface does not count.
    pub fn statistics(&mut self) -> Result<LiveStatistics, Error> {
        let found = self
            .handle
            .stats()
            .map_err(|error| Error::new(format!("{} does not count packets: {}", self.interface, words(&error))))?;
        let now = [found.received, found.dropped, found.if_dropped];
        let totals = [&mut self.statistics.received, &mut self.statistics.dropped, &mut self.statistics.if_dropped];
        for ((total, now), before) in totals.into_iter().zip(now).zip(self.counters) {
            *total += u64::from(now.wrapping_sub(before));
        }
        self.counters = now;
        Ok(self.statistics)
    }
}

/// Whether the device gives times in nanoseconds when asked. libpcap does so for network interfaces on
/// Linux, and not for the pseudo-devices that other modules of it serve; the crate does not tell.
fn has_nanoseconds(interface: &str) -> bool {
    const OTHERS: [&str; 7] = ["nflog", "nfqueue", "usbmon", "bluetooth", "dbus-", "rdma", "dpdk:"];
    cfg!(target_os = "linux") && !OTHERS.iter().any(|prefix| interface.starts_with(prefix))
}

/// libpcap's words without the crate's prefix.
pub(super) fn words(error: &pcap::Error) -> String {
    match error {
        pcap::Error::PcapError(text) => text.trim().to_owned(),
        other => other.to_string(),
    }
}

fn cannot_open(interface: &str, error: &pcap::Error) -> Error {
    let text = words(error);
    let known = interfaces().unwrap_or_default();
    let missing = !known.is_empty() && known.iter().all(|one| one.name != interface);
    let lower = text.to_ascii_lowercase();
    Error::new(if lower.contains("permission") || lower.contains("not permitted") {
        format!(
            "no permission to capture on {interface}; run it with sudo wsscan …, or grant it once: \
             sudo setcap cap_net_raw,cap_net_admin=eip $(command -v wsscan)"
        )
    } else if missing || lower.contains("no such device") {
        let names: Vec<&str> = known.iter().map(|one| one.name.as_str()).collect();
        match names.as_slice() {
            [] => format!("there is no interface {interface}; wsscan interfaces lists those there are"),
            names => format!("there is no interface {interface}; there are: {}", names.join(", ")),
        }
    } else if lower.contains("not up") || lower.contains("is down") {
        format!("the interface {interface} is down; bring it up: sudo ip link set {interface} up")
    } else {
        format!("cannot capture on {interface}: {text}; wsscan interfaces lists what can be captured on")
    })
}

fn lost(interface: &str, error: &pcap::Error) -> Error {
    Error::new(format!(
        "the capture on {interface} ended: {}; see wsscan interfaces for its state, and start again",
        words(error)
    ))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

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

    fn wall_clock() -> i64 {
        i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos()).unwrap()
    }

    fn capture_a_talk(name: &str, link: u16) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let filter = format!("tcp port {port}");
        let Some(mut live) = loopback(|options| options.filter = Some(filter), name) else { return };
        assert_eq!(live.link_type(), LinkType(link));
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
            capture_a_talk("lo", 1);
        }
    }

    #[test]
    fn all_interfaces_at_once_tell_their_interface() {
        if cfg!(target_os = "linux") {
            capture_a_talk("any", 276);
        }
    }

    #[test]
    fn the_count_ends_the_capture() {
        if !cfg!(target_os = "linux") {
            return;
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let filter = format!("tcp port {}", listener.local_addr().unwrap().port());
        let options = |options: &mut LiveOptions| {
            options.filter = Some(filter);
            options.count = Some(4);
            options.snaplen = 60;
            options.buffer_kib = 4096;
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

    #[test]
    fn an_idle_interface_returns_and_stops_at_once() {
        let nothing = |options: &mut LiveOptions| options.filter = Some("ether proto 0x1234".into());
        if !cfg!(target_os = "linux") {
            return;
        }
        let Some(mut live) = loopback(nothing, "lo") else { return };
        let mut batch = Batch::default();
        let started = Instant::now();
        assert!(live.next_batch(&mut batch).unwrap());
        assert!(batch.packets.is_empty());
        assert!(started.elapsed() >= PATIENCE && started.elapsed() < Duration::from_secs(5));
        let stop = live.stop_handle();
        let thread = thread::spawn(move || while live.next_batch(&mut batch).unwrap() {});
        stop.stop();
        thread.join().unwrap();
        assert!(stop.is_stopped());
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

    #[test]
    fn errors_name_the_next_step() {
        let denied = pcap::Error::PcapError("eth0: You don't have permission to perform this capture".into());
        let text = cannot_open("lo", &denied).to_string();
        assert!(text.contains("sudo setcap cap_net_raw,cap_net_admin=eip $(command -v wsscan)"));
        assert!(text.contains("sudo wsscan"));
        let down = pcap::Error::PcapError("That device is not up".into());
        assert!(cannot_open("lo", &down).to_string().contains("ip link set lo up"));
    }
}

//! Packets from a network interface, through libpcap, with one reader or with several (see `readers`).
//!
//! The interface is read without blocking: libpcap's ring is emptied in bulk, and between two looks the
//! thread sleeps for at most a few milliseconds. So an idle interface returns the control as promptly as a busy one, and
//! stopping needs no signal.
//! With several readers the kernel shares the packets out; who asks for packets sees no difference.

#[cfg(target_os = "linux")]
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use pcap::{Active, Linktype, Precision};

use super::error::Error;
use super::interfaces::interfaces;
use super::link_type::{from_libpcap, link_type_name};
#[cfg(target_os = "linux")]
use super::readers::READERS_TIMEOUT_MS;
use super::readers::{Readers, wall_clock};
use super::source::ARENA_SIZE;
use crate::packet::{Batch, LinkType, PacketRef};

/// How long a batch waits for packets.
pub(super) const PATIENCE: Duration = Duration::from_millis(100);

/// Pauses between two looks at an interface that has nothing: the first, doubled up to the longest.
pub(super) const SHORTEST_NAP: Duration = Duration::from_micros(500);
pub(super) const LONGEST_NAP: Duration = Duration::from_millis(8);

/// After how many milliseconds the kernel hands over a ring block that is not full.
const KERNEL_TIMEOUT_MS: i32 = 50;

/// Most packets taken from libpcap in one call.
const PACKETS_PER_CALL: usize = 1024;

/// Snap length when none is asked for: all of every packet. libpcap's own largest.
pub const DEFAULT_SNAPLEN: u32 = 262_144;

/// Size of the kernel's buffer in KiB when none is asked for. libpcap's own 2 MiB hold no more than what a
/// local connection sends in a millisecond or two.
pub const DEFAULT_BUFFER_KIB: u32 = 16 << 10;

/// Most readers of one interface. Each takes more packets out of the kernel's buffer than one processor can put in.
#[cfg(target_os = "linux")]
const MAX_READERS: usize = 8;

/// Least buffer of one of several readers: eight of the blocks that libpcap asks for.
#[cfg(target_os = "linux")]
const READER_BUFFER_KIB: u32 = 2 << 10;

/// How long packets may be on their way to a reader when the last one joins. (They are handed over with interrupts
/// held off: microseconds.)
#[cfg(target_os = "linux")]
const SETTLE: Duration = Duration::from_millis(5);

/// How long packets from before the beginning may turn up; the kernel shows them after some 20 ms.
#[cfg(target_os = "linux")]
const EARLY: Duration = Duration::from_secs(1);

/// `LINKTYPE_LINUX_SLL2`: what the device `any` gives when asked; it tells the interface of each packet.
const LINUX_SLL2: i32 = 276;

/// What to capture, and how: the options of tcpdump.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveOptions {
    /// Name of the interface; `any` is all of them (Linux).
    pub interface: String,
    /// Bytes kept of each packet; at most [`DEFAULT_SNAPLEN`].
    pub snaplen: u32,
    /// Size of the kernel's buffer in KiB, of which each reader has an equal part.
    pub buffer_kib: u32,
    /// Whether to ask the interface for packets that are addressed to others.
    pub promiscuous: bool,
    /// A filter in libpcap's language, applied by the kernel where it can.
    pub filter: Option<String>,
    /// Stop after so many packets.
    pub count: Option<u64>,
    /// How many readers are wanted. There are fewer, at least one, where the system cannot share an interface out
    /// ([`Live::alone`] says why), where each would have less than 2 MiB of the buffer, and never more than 8.
    pub readers: usize,
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
            readers: 1,
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
    road: Road,
    interface: String,
    link: LinkType,
    alone: Option<String>,
    stop: StopHandle,
    packets: u64,
    left: u64,
    ended: bool,
}

enum Road {
    One(Handle),
    Many(Readers),
}

impl Live {
    /// Opens the interface and starts to capture.
    ///
    /// # Errors
    /// When there is no such interface (the text lists those there are), the permission is missing (the text
    /// says how to grant it), the interface is down, or the filter is wrong.
    pub fn open(options: LiveOptions) -> Result<Self, Error> {
        let stop = StopHandle(Arc::new(AtomicBool::new(false)));
        let (many, alone) = match open_many(&options, &stop) {
            Ok(many) => (many, None),
            Err(why) => (None, Some(why)),
        };
        let (road, link) = match many {
            Some((readers, link)) => (Road::Many(readers), link),
            None => {
                let handle = Handle::open(&options, options.buffer_kib, KERNEL_TIMEOUT_MS)?;
                let link = handle.link;
                (Road::One(handle), link)
            }
        };
        let LiveOptions { interface, count, .. } = options;
        Ok(Self { road, interface, link, alone, stop, packets: 0, left: count.unwrap_or(u64::MAX), ended: false })
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

    /// How many readers there are.
    #[must_use]
    pub fn readers(&self) -> usize {
        match &self.road {
            Road::One(_) => 1,
            Road::Many(readers) => readers.count(),
        }
    }

    /// Why there is one reader where more were asked for.
    #[must_use]
    pub fn alone(&self) -> Option<&str> {
        self.alone.as_deref()
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
        let most = usize::try_from(self.left).unwrap_or(usize::MAX);
        let result = match &mut self.road {
            Road::One(handle) => handle.next_batch(batch, most, &self.stop),
            Road::Many(readers) => readers.next_batch(batch, most),
        };
        let got = batch.packets.len() as u64;
        self.packets += got;
        self.left -= got.min(self.left);
        self.ended = !matches!(result, Ok(true));
        result.map_err(|error| lost(&self.interface, &error))
    }

    /// The time up to which all packets have been handed on, in nanoseconds since the epoch, when the last batch was
    /// not full. `None` where that is not known.
    #[must_use]
    pub fn reached(&self) -> Option<i64> {
        match &self.road {
            Road::One(_) => Some(wall_clock()),
            Road::Many(readers) => readers.reached(),
        }
    }

    /// What the kernel counted since the capture was opened, for all readers together. Its own counters have 32
    /// bits; ask at least once in four thousand million packets.
    ///
    /// # Errors
    /// When the interface does not count.
    pub fn statistics(&mut self) -> Result<LiveStatistics, Error> {
        let counts = match &mut self.road {
            Road::One(handle) => handle.statistics(),
            Road::Many(readers) => readers.statistics(),
        };
        counts.map_err(|error| Error::new(format!("{} does not count packets: {}", self.interface, words(&error))))
    }
}

/// Opens as many readers as are wanted and possible, and how packets begin; nothing when that is one. Says why
/// there cannot be several where they are wanted.
#[cfg(target_os = "linux")]
fn open_many(options: &LiveOptions, stop: &StopHandle) -> Result<Option<(Readers, LinkType)>, String> {
    let room = (options.buffer_kib / READER_BUFFER_KIB).max(1);
    let readers = options.readers.min(MAX_READERS).min(room as usize);
    if options.readers <= 1 {
        return Ok(None);
    }
    if readers == 1 {
        return Err(format!("{} KiB are one reader's buffer", options.buffer_kib));
    }
    let handles = open_group(options, readers)?;
    let link = handles[0].link;
    let readers = Readers::start(handles, stop.clone()).map_err(|error| format!("no threads: {error}"))?;
    Ok(Some((readers, link)))
}

/// Opens so many handles, of which each packet reaches one.
#[cfg(target_os = "linux")]
fn open_group(options: &LiveOptions, readers: usize) -> Result<Vec<Handle>, String> {
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
    // Until the last had joined, a packet may have reached several. The capture begins after that, and after
    // packets that were on their way.
    thread::sleep(SETTLE);
    let begin = wall_clock();
    handles.iter_mut().for_each(|handle| handle.begin(begin));
    Ok(handles)
}

#[cfg(not(target_os = "linux"))]
fn open_many(options: &LiveOptions, _: &StopHandle) -> Result<Option<(Readers, LinkType)>, String> {
    if options.readers > 1 { Err("this system shares no interface out".to_owned()) } else { Ok(None) }
}

/// One handle of libpcap.
pub(super) struct Handle {
    capture: pcap::Capture<Active>,
    link: LinkType,
    /// Nanoseconds per unit of the fraction in libpcap's times: 1 or 1000.
    unit: i64,
    /// Packets with an earlier stamp are not part of the capture, and until when (by a clock that nobody sets)
    /// such are expected.
    begin: Option<(i64, Instant)>,
    statistics: LiveStatistics,
    /// libpcap's 32-bit counters as last read, which wrap.
    counters: [u32; 3],
}

impl Handle {
    fn open(options: &LiveOptions, buffer_kib: u32, timeout: i32) -> Result<Self, Error> {
        let LiveOptions { interface, snaplen, promiscuous, filter, .. } = options;
        let nanoseconds = has_nanoseconds(interface);
        let snaplen = if *snaplen == 0 { DEFAULT_SNAPLEN } else { DEFAULT_SNAPLEN.min(*snaplen) };
        let open = |promiscuous: bool| {
            let mut inactive = pcap::Capture::from_device(interface.as_str())?
                .snaplen(snaplen as i32)
                .promisc(promiscuous)
                .timeout(timeout)
                .buffer_size(i32::try_from(u64::from(buffer_kib) * 1024).unwrap_or(i32::MAX));
            if nanoseconds {
                inactive = inactive.precision(Precision::Nano);
            }
            inactive.open()
        };
        // `any` cannot be made promiscuous, nor can some drivers; libpcap then warns, and the crate takes the
        // warning for a failure. Without it such interfaces are captured as they can be.
        let promiscuous = *promiscuous && interface != "any";
        let opened = match open(promiscuous) {
            Err(_) if promiscuous => open(false),
            other => other,
        };
        let mut capture = opened.map_err(|error| cannot_open(interface, &error))?;
        if interface == "any" {
            // Where SLL2 is not to be had, the older SLL is what it gives anyway.
            let _ = capture.set_datalink(Linktype(LINUX_SLL2));
        }
        let link = from_libpcap(capture.get_datalink().0);
        if let Some(expression) = filter {
            capture.filter(expression, true).map_err(|error| {
                Error::new(format!(
                    "the filter {expression:?} cannot be used on {interface} ({}): {}; \
                     write it as for tcpdump, for example: tcp port 3000 and host 10.0.0.7 (man pcap-filter)",
                    link_type_name(link),
                    words(&error),
                ))
            })?;
        }
        let capture = capture.setnonblock().map_err(|error| cannot_open(interface, &error))?;
        Ok(Self {
            capture,
            link,
            unit: if nanoseconds { 1 } else { 1000 },
            begin: None,
            statistics: LiveStatistics::default(),
            counters: [0; 3],
        })
    }

    /// The capture begins at `time`; nothing before counts.
    #[cfg(target_os = "linux")]
    fn begin(&mut self, time: i64) {
        self.begin = Some((time, Instant::now() + EARLY));
        let _ = self.statistics();
        self.statistics = LiveStatistics::default();
    }

    fn next_batch(&mut self, batch: &mut Batch, most: usize, stop: &StopHandle) -> Result<bool, pcap::Error> {
        let deadline = Instant::now() + PATIENCE;
        let mut nap = SHORTEST_NAP;
        loop {
            // Looked at before the packets are fetched, so that what came before the stop is still handed on.
            let stopping = stop.is_stopped();
            let got = match self.fetch(batch, most - batch.packets.len()) {
                Ok(got) => got,
                Err(error) if batch.packets.is_empty() => return Err(error),
                // The next call will meet the error again.
                Err(_) => 0,
            };
            let full = batch.arena.len() >= ARENA_SIZE || batch.packets.len() >= most;
            if full || (got == 0 && !batch.packets.is_empty()) {
                return Ok(true);
            }
            if got == 0 && stopping {
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

    /// Takes what libpcap has ready, up to about `bytes`. Gives the time before the last look when that found nothing
    /// more, and the error that ended the reading.
    pub(super) fn drain(&mut self, batch: &mut Batch, bytes: usize) -> (Option<i64>, Option<pcap::Error>) {
        while batch.arena.len() < bytes {
            let now = wall_clock();
            match self.fetch(batch, usize::MAX) {
                Ok(0) => return (Some(now), None),
                Ok(_) => {}
                Err(error) => return (None, Some(error)),
            }
        }
        (None, None)
    }

    /// Takes what libpcap has ready, up to a bound. Gives how many packets those were, including what is from
    /// before the beginning of the capture.
    fn fetch(&mut self, batch: &mut Batch, most: usize) -> Result<usize, pcap::Error> {
        let (link, unit) = (self.link, self.unit);
        self.begin.take_if(|(_, until)| Instant::now() > *until);
        let begin = self.begin.map_or(i64::MIN, |(begin, _)| begin);
        #[allow(clippy::unnecessary_cast, reason = "the two fields have other types on other systems")]
        self.capture.dispatch(Some(most.min(PACKETS_PER_CALL)), |packet| {
            let header = packet.header;
            let at = (header.ts.tv_sec as i64)
                .saturating_mul(1_000_000_000)
                .saturating_add((header.ts.tv_usec as i64).saturating_mul(unit));
            if at < begin {
                return;
            }
            batch.packets.push(PacketRef {
                at,
                offset: batch.arena.len() as u32,
                captured: packet.data.len() as u32,
                original: header.len,
                link,
            });
            batch.arena.extend_from_slice(packet.data);
        })
    }

    /// What the kernel counted for this handle.
    pub(super) fn statistics(&mut self) -> Result<LiveStatistics, pcap::Error> {
        let found = self.capture.stats()?;
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

    fn capture_a_talk(name: &str, link: u16, readers: usize) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let filter = format!("tcp port {port}");
        let Some(mut live) = loopback(|options| (options.filter, options.readers) = (Some(filter), readers), name)
        else {
            return;
        };
        assert_eq!(live.link_type(), LinkType(link));
        assert_eq!(live.readers(), if live.alone().is_none() { readers } else { 1 });
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
        assert!(live.alone().is_some());
        let Some(live) = loopback(|options| (options.readers, options.buffer_kib) = (4, 6144), "lo") else { return };
        assert_eq!(live.readers(), if live.alone().is_none() { 3 } else { 1 });
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
            let mut handles = match open_group(&options, READERS) {
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
            let reached = live.reached().unwrap();
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

//! One libpcap handle on an interface, and what every way of reading an interface shares: options, counters, the stop
//! flag, the clock.
//!
//! The interface is read without blocking: libpcap's ring is emptied in bulk, and between two polls the thread sleeps
//! for at most a few milliseconds. So an idle interface returns control as promptly as a busy one, and stopping needs
//! no signal.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use pcap::{Active, Linktype, Precision};

use super::error::{Error, pcap_message};
use super::interfaces::interfaces;
use super::link_type::{from_libpcap, link_type_name};
use super::source::ARENA_SIZE;
use crate::packet::{Batch, LinkType, PacketRef};

/// How long a batch waits for its first packet.
pub(super) const PATIENCE: Duration = Duration::from_millis(100);

/// Pauses between two polls of an idle interface: the first, doubled up to the longest.
pub(super) const SHORTEST_NAP: Duration = Duration::from_micros(500);
pub(super) const LONGEST_NAP: Duration = Duration::from_millis(8);

/// Most packets taken from libpcap in one call.
const PACKETS_PER_CALL: usize = 1024;

/// Snap length when none is asked for: all of every packet. libpcap's own largest.
pub const DEFAULT_SNAPLEN: u32 = 262_144;

/// Size of the kernel's buffer in KiB when none is asked for. libpcap's own 2 MiB hold no more than what a
/// local connection sends in a millisecond or two.
pub const DEFAULT_BUFFER_KIB: u32 = 16 << 10;

/// How long packets stamped before the beginning of the capture may still turn up; the kernel shows them after some
/// 20 ms.
#[cfg(target_os = "linux")]
const EARLY: Duration = Duration::from_secs(1);

/// `LINKTYPE_LINUX_SLL2`: what the device `any` gives when asked; it names the interface of each packet.
const LINUX_SLL2: i32 = 276;

/// What to capture, and how: the options of tcpdump.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveOptions {
    /// Name of the interface; `any` is all of them (Linux).
    pub interface: String,
    /// Bytes kept of each packet; at most [`DEFAULT_SNAPLEN`].
    pub snaplen: u32,
    /// Size of the kernel's buffer in KiB, of which each reader gets an equal part.
    pub buffer_kib: u32,
    /// Whether to ask the interface for packets that are addressed to others.
    pub promiscuous: bool,
    /// A filter in libpcap's language, applied by the kernel where it can.
    pub filter: Option<String>,
    /// Stop after this many packets.
    pub count: Option<u64>,
    /// How many readers are wanted. There are fewer, at least one, where the system cannot share an interface out
    /// (`Live::single_reader_reason` says why), where each would have less than
    /// 2 MiB of the buffer, and never more than 8.
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
#[derive(Clone, Debug, Default)]
pub struct StopHandle(Arc<AtomicBool>);

impl StopHandle {
    /// Asks the capture to end. Its [`Live::next_batch`](super::Live::next_batch) hands on what has arrived and then
    /// returns `false`.
    pub(crate) fn stop(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether the capture was asked to end.
    #[must_use]
    pub(crate) fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Nanoseconds since the epoch, as the kernel stamps packets.
pub(super) fn wall_clock() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// One handle of libpcap.
pub(super) struct Handle {
    pub(super) capture: pcap::Capture<Active>,
    pub(super) link: LinkType,
    /// Nanoseconds per unit of the fraction in libpcap's times: 1 or 1000.
    unit: i64,
    /// The capture's first moment, and until when (by the monotonic clock) packets from before it are filtered out.
    begin: Option<(i64, Instant)>,
    statistics: LiveStatistics,
    /// libpcap's 32-bit counters as last read, which wrap.
    counters: [u32; 3],
}

impl Handle {
    /// Opens the interface. `timeout`: after how many milliseconds the kernel hands over a ring block that is not full.
    pub(super) fn open(options: &LiveOptions, buffer_kib: u32, timeout: i32) -> Result<Self, Error> {
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
            // Where SLL2 is not supported, `any` delivers the older SLL by default.
            let _ = capture.set_datalink(Linktype(LINUX_SLL2));
        }
        let link = from_libpcap(capture.get_datalink().0);
        if let Some(expression) = filter {
            capture.filter(expression, true).map_err(|error| {
                Error::new(format!(
                    "the filter {expression:?} cannot be used on {interface} ({}): {}; \
                     write it as for tcpdump, for example: tcp port 3000 and host 10.0.0.7 (man pcap-filter)",
                    link_type_name(link),
                    pcap_message(&error),
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

    /// Begins the capture at `time`: earlier packets are filtered out, and the counters restart.
    #[cfg(target_os = "linux")]
    pub(super) fn begin(&mut self, time: i64) {
        self.begin = Some((time, Instant::now() + EARLY));
        let _ = self.statistics();
        self.statistics = LiveStatistics::default();
    }

    /// As [`Live::next_batch`](super::Live::next_batch), with at most `most` packets.
    pub(super) fn next_batch(
        &mut self,
        batch: &mut Batch,
        most: usize,
        stop: &StopHandle,
    ) -> Result<bool, pcap::Error> {
        let deadline = Instant::now() + PATIENCE;
        let mut nap = SHORTEST_NAP;
        loop {
            // Read before the packets are fetched, so that those captured before the stop are still handed on.
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

    /// Takes what libpcap has ready, up to about `bytes`. Returns the time before the last poll if that one found
    /// nothing more, and the error that ended reading.
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

    /// Takes what libpcap has ready, up to [`PACKETS_PER_CALL`]. Returns the number of packets, those from before the
    /// beginning of the capture included.
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

    /// The kernel's counts for this handle.
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

/// Whether the device delivers times in nanoseconds when asked. libpcap does so for network interfaces on
/// Linux, but not for the pseudo-devices that its other modules serve; the `pcap` crate does not expose which.
fn has_nanoseconds(interface: &str) -> bool {
    const OTHERS: [&str; 7] = ["nflog", "nfqueue", "usbmon", "bluetooth", "dbus-", "rdma", "dpdk:"];
    cfg!(target_os = "linux") && !OTHERS.iter().any(|prefix| interface.starts_with(prefix))
}

fn cannot_open(interface: &str, error: &pcap::Error) -> Error {
    let text = pcap_message(error);
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

/// The error of a capture that ended because its interface failed.
pub(super) fn interface_lost(interface: &str, error: &pcap::Error) -> Error {
    Error::new(format!(
        "the capture on {interface} ended: {}; see wsscan interfaces for its state, and start again",
        pcap_message(error)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

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

//! What can be captured on, and what permission is missing.

use std::net::IpAddr;

use super::error::{Error, pcap_message};

/// A network interface, or a pseudo-device of libpcap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// The name to capture by.
    pub name: String,
    /// libpcap's description of it, if there is one.
    pub description: Option<String>,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Whether it is up.
    pub up: bool,
    /// Whether it is running: up, and its cable or radio has a link.
    pub running: bool,
    /// Whether it is a loopback interface.
    pub loopback: bool,
}

/// The interfaces that libpcap knows, in its order: the likeliest first.
///
/// # Errors
/// When the system does not list them.
pub fn interfaces() -> Result<Vec<Interface>, Error> {
    let devices = pcap::Device::list().map_err(|error| {
        Error::new(format!("the interfaces cannot be listed: {}; try it with sudo", pcap_message(&error)))
    })?;
    Ok(devices
        .into_iter()
        .map(|device| Interface {
            addresses: device.addresses.iter().map(|address| address.addr).collect(),
            up: device.flags.is_up(),
            running: device.flags.is_running(),
            loopback: device.flags.is_loopback(),
            name: device.name,
            description: device.desc,
        })
        .collect())
}

/// `CAP_NET_RAW` in Linux's capability sets.
const CAP_NET_RAW: u32 = 13;

/// What this process lacks in order to capture, and how to get it; `None` when nothing is known to be missing.
#[must_use]
pub fn missing_permission() -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let effective = effective_capabilities(&status)?;
    (effective >> CAP_NET_RAW & 1 == 0).then(|| {
        "CAP_NET_RAW is missing; run it with sudo wsscan …, or grant it once: \
         sudo setcap cap_net_raw,cap_net_admin=eip $(command -v wsscan)"
            .to_owned()
    })
}

/// The effective set from the text of `/proc/PID/status`.
fn effective_capabilities(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_listed_with_its_address() {
        let Ok(found) = interfaces() else { return };
        let Some(loopback) = found.iter().find(|one| one.loopback && one.up) else {
            eprintln!("skipped: no loopback interface is up");
            return;
        };
        assert!(loopback.addresses.iter().all(IpAddr::is_loopback), "{loopback:?}");
    }

    #[test]
    fn capabilities_are_read_from_the_status() {
        let status = "Name:\twsscan\nCapPrm:\t0000000000000000\nCapEff:\t0000000000002000\nCapBnd:\t1\n";
        assert_eq!(effective_capabilities(status), Some(0x2000));
        assert_eq!(effective_capabilities("Name:\tx\n"), None);
        assert_eq!(effective_capabilities("CapEff:\tzz\n"), None);
    }
}

//! `wsscan interfaces`: lists interfaces, and the permission that is missing.

use std::io::Write;

use super::Failure;

/// Lists the interfaces.
///
/// # Errors
/// When they cannot be listed, or `out` fails.
#[cfg(feature = "live")]
pub(super) fn interfaces(out: &mut dyn Write) -> Result<(), Failure> {
    use crate::output::terminal::escape;
    use anstyle::Style;

    const BOLD: Style = Style::new().bold();
    let devices = pcap::Device::list()
        .map_err(|error| Failure::run(format!("interfaces: cannot list them: {}", escape(&error.to_string()))))?;
    let width = devices.iter().map(|device| device.name.chars().count()).max().unwrap_or(0);
    for device in &devices {
        let state = if device.flags.is_up() { "up" } else { "down" };
        let mut facts: Vec<String> = device.addresses.iter().map(|address| address.addr.to_string()).collect();
        if let Some(text) = device.desc.as_ref().filter(|text| !text.is_empty()) {
            facts.push(format!("({text})"));
        }
        let name = escape(&device.name);
        let facts = facts.join(" ");
        let line = format!("{BOLD}{name:<width$}{BOLD:#}  {state:<4}  {}", escape(&facts));
        writeln!(out, "{}", line.trim_end()).map_err(Failure::output)?;
    }
    if devices.is_empty() {
        writeln!(out, "libpcap shows no interface.").map_err(Failure::output)?;
    }
    if let Some(missing) = missing_permission() {
        writeln!(out, "\n{missing}").map_err(Failure::output)?;
    }
    out.flush().map_err(Failure::output)
}

/// Says that this build cannot capture.
///
/// # Errors
/// Always: there is nothing to list.
#[cfg(not(feature = "live"))]
pub(super) fn interfaces(_: &mut dyn Write) -> Result<(), Failure> {
    Err(Failure::run(
        "interfaces: this wsscan was built without live capture (feature \"live\"); read files with -r instead"
            .to_owned(),
    ))
}

/// What to do when this process may not capture; `None` when it may, or when that is not known.
#[cfg(feature = "live")]
#[must_use]
pub(super) fn missing_permission() -> Option<&'static str> {
    const CAP_NET_RAW: u32 = 13;
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let capabilities = effective(&status)?;
    (capabilities & (1 << CAP_NET_RAW) == 0).then_some(
        "No permission to capture. Once, as root: setcap cap_net_raw,cap_net_admin+eip $(command -v wsscan)\n\
         or capture with: sudo tcpdump -i IFACE -w - | wsscan -r -",
    )
}

/// The effective capabilities of a process, from its status file (Linux).
#[cfg(any(feature = "live", test))]
fn effective(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_read() {
        assert_eq!(effective("Name:\tx\nCapInh:\t0\nCapEff:\t0000000000002000\n"), Some(1 << 13));
        assert_eq!(effective("Name:\tx\n"), None);
    }
}

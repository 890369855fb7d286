//! What tshark says about a capture, read from its PDML: one tag per line.

use std::path::Path;
use std::process::{Command, Stdio};

/// A WebSocket frame as tshark dissects it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Frame {
    /// `tcp.stream`.
    pub(crate) stream: u64,
    /// `frame.number` of the packet in which the frame was complete.
    pub(crate) packet: u64,
    /// Opcode.
    pub(crate) opcode: u64,
    /// FIN bit.
    pub(crate) fin: bool,
    /// Reserved bits, RSV1 as 4.
    pub(crate) rsv: u64,
    /// MASK bit.
    pub(crate) masked: bool,
    /// Payload length.
    pub(crate) length: u64,
    /// Status code of a Close.
    pub(crate) close_code: Option<u64>,
}

/// Whether tshark can be run.
pub(crate) fn is_there() -> bool {
    Command::new("tshark")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|s| s.success())
}

/// The frames of a capture, in the order tshark finds them.
pub(crate) fn frames(capture: &Path, keylog: Option<&Path>) -> Result<Vec<Frame>, String> {
    let mut command = Command::new("tshark");
    // Since 3.0 tshark can put segments in order, and by default does not.
    command
        .args(["-o", "tcp.reassemble_out_of_order:TRUE", "-T", "pdml", "-J", "frame tcp websocket", "-r"])
        .arg(capture);
    if let Some(keylog) = keylog {
        command.arg("-o").arg(format!("tls.keylog_file:{}", keylog.display()));
    }
    let output = command.stdin(Stdio::null()).output().map_err(|e| format!("tshark: {e}"))?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    // Of a file that ends in the middle of a packet tshark tells what is there, and fails.
    if !output.status.success() && !complaint.contains("cut short in the middle of a packet") {
        return Err(format!("tshark: {complaint}"));
    }
    parse(&String::from_utf8_lossy(&output.stdout))
}

fn parse(pdml: &str) -> Result<Vec<Frame>, String> {
    let mut frames: Vec<Frame> = Vec::new();
    let (mut packet, mut stream, mut inside) = (0, 0, false);
    for line in pdml.lines().map(str::trim) {
        if line.starts_with("<proto ") {
            inside = attribute(line, "name") == Some("websocket");
            if inside {
                frames.push(Frame { stream, packet, ..Frame::default() });
            }
            continue;
        }
        let Some(name) = line.starts_with("<field ").then(|| attribute(line, "name")).flatten() else { continue };
        let number = || {
            let shown = attribute(line, "show").unwrap_or_default();
            let parsed = shown.strip_prefix("0x").map_or_else(|| shown.parse(), |hex| u64::from_str_radix(hex, 16));
            parsed.map_err(|_| format!("tshark shows {name} as {shown:?}"))
        };
        let truth = || matches!(attribute(line, "show"), Some("1" | "True" | "true"));
        match name {
            "frame.number" => packet = number()?,
            "tcp.stream" => stream = number()?,
            _ => {}
        }
        let Some(frame) = frames.last_mut().filter(|_| inside) else { continue };
        match name {
            "websocket.opcode" => frame.opcode = number()?,
            "websocket.fin" => frame.fin = truth(),
            "websocket.rsv" => frame.rsv = number()?,
            "websocket.mask" => frame.masked = truth(),
            // The short form first; where it says 126 or 127, the long form follows and replaces it.
            "websocket.payload_length" | "websocket.payload_length_ext_16" | "websocket.payload_length_ext_64" => {
                frame.length = number()?
            }
            "websocket.payload.close.status_code" => frame.close_code = Some(number()?),
            _ => {}
        }
    }
    Ok(frames)
}

fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let at = tag.find(&format!(" {name}=\""))? + name.len() + 3;
    tag[at..].split('"').next()
}

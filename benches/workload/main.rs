//! Writes a WebSocket capture of a given shape and size, and beside it the truth about what it holds.
//!
//! ```text
//! cargo run --release --example workload -- ticks --bytes 1G --seed 1 -o ticks.pcap
//! ```
//!
//! The format follows from the name: `.pcapng` is pcapng, everything else is pcap.

#[allow(dead_code, reason = "the component benchmarks use what is left")]
mod generate;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use generate::capture_file::{CaptureFile, Format};
use generate::context::Context;
use generate::payloads::Payloads;
use generate::simulation::{Shape, run};

/// Writes a WebSocket capture and the truth about it.
#[derive(Parser)]
struct Arguments {
    /// What the traffic is like.
    shape: Shape,
    /// Size of the capture, about; K, M and G are powers of 1024.
    #[arg(long, default_value = "10M", value_parser = size)]
    bytes: u64,
    /// Conversations at a time; the shape's own number if not given.
    #[arg(long)]
    connections: Option<u64>,
    /// The same seed gives the same bytes.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The capture.
    #[arg(short, long)]
    output: PathBuf,
    /// Nanoseconds in pcap (pcapng always has them).
    #[arg(long)]
    nanoseconds: bool,
    /// Put the TLS secrets into the pcapng, too.
    #[arg(long)]
    embed_keys: bool,
    /// List every frame in this file: tcp.stream, sender, FIN, RSV, opcode, length, what of it was captured.
    #[arg(long)]
    frame_list: Option<PathBuf>,
}

fn size(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.as_bytes().last() {
        Some(b'K' | b'k') => (&text[..text.len() - 1], 10),
        Some(b'M' | b'm') => (&text[..text.len() - 1], 20),
        Some(b'G' | b'g') => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    let number: u64 = digits.parse().map_err(|_| format!("{text} is not a size"))?;
    number.checked_mul(1 << shift).ok_or_else(|| format!("{text} is too large"))
}

fn main() -> ExitCode {
    match write(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("workload: {error}");
            ExitCode::from(2)
        }
    }
}

fn write(arguments: &Arguments) -> std::io::Result<()> {
    let shape = arguments.shape;
    let beside = |extension: &str| {
        let mut name = arguments.output.clone().into_os_string();
        name.push(extension);
        PathBuf::from(name)
    };
    let format = match arguments.output.extension().and_then(|extension| extension.to_str()) {
        Some("pcapng") => Format::Pcapng,
        _ if arguments.nanoseconds => Format::PcapNanosecond,
        _ => Format::Pcap,
    };
    if arguments.embed_keys && format != Format::Pcapng {
        return Err(std::io::Error::other("--embed-keys needs a .pcapng"));
    }
    let payloads = Arc::new(Payloads::new(arguments.seed, shape.stories(arguments.bytes)));
    let mut context = Context::new(arguments.seed, payloads, CaptureFile::create(&arguments.output, format)?);
    context.embed_keys = arguments.embed_keys;
    if shape.secret() {
        context.key_log = Some(Box::new(BufWriter::new(File::create(beside(".keys"))?)));
    }
    if let Some(path) = &arguments.frame_list {
        let mut list = BufWriter::new(File::create(path)?);
        writeln!(list, "tcp_stream,from,fin,rsv,opcode,length,captured")?;
        context.frame_list = Some(list);
    }
    let connections = arguments.connections.unwrap_or_else(|| shape.connections(arguments.bytes)).max(1);
    let (truth, _) = run(shape, arguments.bytes, connections, context)?;
    let mut file = BufWriter::new(File::create(beside(".truth.json"))?);
    serde_json::to_writer_pretty(&mut file, &truth)?;
    file.write_all(b"\n")?;
    file.flush()
}

//! wsscan reads packets and says why a WebSocket died.
//!
//! This is the library behind the `wsscan` command. Packets go in at the top, facts are recorded on the way down,
//! verdicts are reached once, at the end, and nothing flows back up.
//!
//! ```text
//!  capture ──► packet ──► tcp ──► connection: the stack of one connection's layers
//!  files,      link, IP,  order,    [tls] ──► http, http2 ──► websocket
//!  stdin,      tunnels,   gaps,       every layer is fed stream events: Data, Gap, End
//!  live        fragments  ends        │
//!                                     ▼ facts, each with its packet
//!                              ConnectionRecord ──► diagnosis ──► Verdict, Finding
//!                                     │                              │
//!  engine: all of the above on every core                            ▼
//!  cli:    command line, wiring, exit status              output: model, store ──► report, JSON, events, schemas
//! ```
//!
//! # Rooms
//!
//! | room | what happens there |
//! |---|---|
//! | [`capture`] | files, standard input and interfaces; the only room that reads captures |
//! | [`packet`] | one packet: link, IP, tunnels, fragments, to a TCP segment |
//! | [`stream`] | the contract between layers: [`Stamp`](stream::Stamp), [`Direction`](stream::Direction), [`StreamEvent`](stream::StreamEvent) |
//! | [`tcp`] | one connection's segments: order, gaps, ends, who acted first |
//! | [`tls`] | records, handshakes, certificates, alerts; decryption with keys that were given |
//! | [`http`] | HTTP/1.x up to the moment it becomes something else |
//! | [`http2`] | HTTP/2 as far as WebSockets need it: extended CONNECT (RFC 8441) |
//! | [`websocket`] | frames, messages, compression, the closing handshake, keepalive |
//! | [`subprotocol`] | the application protocol inside a WebSocket, recognised by the first bytes of its messages |
//! | [`connection`] | the stack of layers of one connection, and the record of what they found |
//! | [`diagnosis`] | rules over records: verdicts and findings; correlation of connections; the catalogue of causes |
//! | [`engine`] | the pipeline of chunks and shards on every core, observers, the selection of what is reported |
//! | [`output`] | the published model; redaction, the store, the report, JSON, the event stream, schemas |
//! | [`cli`] | the command line; only [`cli::run`] is public |
//!
//! See `ARCHITECTURE.md` for allowed dependencies, handling of gaps, and where to add what.
//!
//! # What never happens
//!
//! * No frame is reported that was not sent. Where bytes are missing, a layer reports a gap and nothing else until it is
//!   provably in step again.
//! * From [`packet`] to the engine's shards there is no clock, no file, no thread, no print: time is an argument,
//!   and the result is a function of packets and keys. `tests/layers.rs` holds the source against this.
//! * A layer never fails because of what a peer did: that is a fact. `Result::Err` is for errors of this program.
//! * A length from the wire never sizes an allocation. Every buffer has a named bound.
//! * Layers never call each other, and no layer judges.
//! * Nothing is written in any form before `output::redact` has seen it, unless secrets were asked for.
//!
//! # Example
//!
//! The engine takes packets from a [`Feed`](engine::Feed). This one serves a capture that lies in memory, as one chunk:
//!
//! ```
//! use std::sync::Mutex;
//!
//! use wsscan::capture::Walker;
//! use wsscan::connection::Keys;
//! use wsscan::engine::{self, Cause, Feed, Judgement, Options, Recorder, Walked};
//! use wsscan::packet::Batch;
//!
//! struct Bytes {
//!     capture: Vec<u8>,
//!     walker: Mutex<Walker>,
//! }
//!
//! impl Feed for Bytes {
//!     fn is_serial(&self) -> bool {
//!         true
//!     }
//!
//!     fn fetch(&self, index: u64, batch: &mut Batch) -> bool {
//!         if index == 0 {
//!             batch.arena.clone_from(&self.capture);
//!         }
//!         index == 0
//!     }
//!
//!     fn walk(&self, _: u64, batch: &mut Batch) -> Walked {
//!         let mut walker = self.walker.lock().unwrap();
//!         walker.walk(&batch.arena, 0, true, &mut batch.packets);
//!         Walked { more: false, secrets: walker.take_secrets() }
//!     }
//! }
//!
//! let capture = std::fs::read("captures/rec-reset/capture.pcap")?;
//! let feed = Bytes { capture, walker: Mutex::new(Walker::new()) };
//! let options = Options { threads: 1, wanted: None, keys: Keys::new() };
//! let found = engine::run(&feed, &options, &Recorder);
//! let judgement = Judgement::of(&found.connections, false, 1);
//!
//! // One WebSocket, which was reset.
//! let Some(Cause::Own(index)) = judgement.root_cause(0) else { panic!("nothing explains the end") };
//! let cause = &found.connections[0].kept.verdicts[0].findings[index];
//! assert_eq!(cause.rule.slug, "reset-no-close");
//! assert_eq!(cause.confidence.as_str(), "proven");
//! assert!(cause.evidence.iter().any(|evidence| evidence.stamp.packet == 11));
//! println!("{}", cause.summary);
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! Most programs should use the command's JSON, whose form is versioned (`wsscan schema`). The API of this library is not
//! stable yet.
//!
//! # Features
//!
//! `live` (on by default): capturing on interfaces, and filters in libpcap's language; needs libpcap.

#![deny(unsafe_code)]

pub mod capture;
pub mod cli;
pub mod connection;
pub mod diagnosis;
pub mod engine;
pub mod http;
pub mod http2;
pub mod output;
pub mod packet;
pub mod stream;
pub mod subprotocol;
mod sync;
pub mod tcp;
pub mod tls;
pub mod websocket;

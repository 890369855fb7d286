//! Capture filters in libpcap's language, for packets from files as for those from interfaces.
//!
//! libpcap compiles, for one link type at a time; the programs are run by libpcap too, except over packets
//! that were cut when captured.

use super::error::Error;
#[cfg(not(feature = "live"))]
use crate::packet::Packet;

/// A filter in libpcap's language (`port 3000`, `host 10.0.0.7 and tcp`).
///
/// Each thread needs its own: a clone compiles anew when it is first used.
pub struct Filter {
    expression: String,
    #[cfg(feature = "live")]
    programs: Vec<with_libpcap::Program>,
}

impl std::fmt::Debug for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Filter").field("expression", &self.expression).finish_non_exhaustive()
    }
}

impl Clone for Filter {
    fn clone(&self) -> Self {
        Self {
            expression: self.expression.clone(),
            #[cfg(feature = "live")]
            programs: Vec::new(),
        }
    }
}

#[cfg(not(feature = "live"))]
impl Filter {
    /// Always fails: without the feature `live` there is no libpcap to compile filters.
    ///
    /// # Errors
    /// Always.
    pub(crate) fn compile(expression: &str) -> Result<Self, Error> {
        Err(Error::new(format!(
            "the filter {expression:?} cannot be used: this wsscan was built without libpcap; \
             build it with the feature live, or leave the filter out"
        )))
    }

    /// Whether the packet passes. There is no filter in this build, so none is ever asked.
    pub fn matches(&mut self, _packet: &Packet<'_>) -> bool {
        true
    }

    /// None: there is no filter in this build.
    pub fn problems(&self) -> impl Iterator<Item = String> {
        std::iter::empty()
    }
}

#[cfg(feature = "live")]
mod with_libpcap {
    use std::sync::Mutex;

    use pcap::{BpfProgram, Linktype};

    use super::super::bpf::{Instruction, accepts};
    use super::super::error::pcap_message;
    use super::super::link_type::{libpcap_link_type, link_type_name};
    use super::super::walker::NOT_A_PACKET;
    use super::{Error, Filter};
    use crate::packet::{LinkType, Packet};
    use crate::sync::lock;

    /// Most link types that one filter serves; real captures have far fewer.
    const MAX_PROGRAMS: usize = 64;

    /// What is kept per link type: a program, or why there is none.
    pub(super) struct Program {
        link: LinkType,
        compiled: Result<Compiled, String>,
    }

    struct Compiled {
        native: BpfProgram,
        instructions: Vec<Instruction>,
    }

    /// Link types that a filter is tried on before it is called wrong: some expressions make sense on few.
    const TRIED: [LinkType; 5] = [LinkType(1), LinkType(101), LinkType(113), LinkType(105), LinkType(127)];

    /// libpcap's compiler was not safe to run twice at once before 1.8.
    static COMPILER: Mutex<()> = Mutex::new(());

    fn compile(expression: &str, link: LinkType) -> Result<Compiled, String> {
        let _guard = lock(&COMPILER);
        let text = |error: pcap::Error| pcap_message(&error);
        let dead = pcap::Capture::dead(Linktype(libpcap_link_type(link))).map_err(text)?;
        let native = dead.compile(expression, true).map_err(text)?;
        let instructions = native.get_instructions().iter().map(|one| decode(&one.to_string())).collect();
        match instructions {
            Some(instructions) => Ok(Compiled { native, instructions }),
            None => Err("libpcap's program cannot be read".into()),
        }
    }

    /// The crate shows an instruction's fields only as text: code, jump if true, jump if false, operand.
    fn decode(text: &str) -> Option<Instruction> {
        let mut fields = text.split(' ');
        let mut field = || fields.next();
        Some(Instruction {
            code: field()?.parse().ok()?,
            jump_true: field()?.parse().ok()?,
            jump_false: field()?.parse().ok()?,
            k: field()?.parse().ok()?,
        })
    }

    impl Filter {
        /// Compiles `expression` once, to know that it is one.
        ///
        /// # Errors
        /// libpcap's own message about the expression, and where the language is described.
        pub(crate) fn compile(expression: &str) -> Result<Self, Error> {
            let mut first_error = None;
            for link in TRIED {
                match compile(expression, link) {
                    Ok(compiled) => {
                        let program = Program { link, compiled: Ok(compiled) };
                        return Ok(Self { expression: expression.into(), programs: vec![program] });
                    }
                    Err(error) => first_error = first_error.or(Some(error)),
                }
            }
            let error = first_error.unwrap_or_default();
            Err(Error::new(format!(
                "the filter {expression:?} is not understood: {error}; \
                 write it as for tcpdump, for example: tcp port 3000 and host 10.0.0.7 (man pcap-filter)"
            )))
        }

        /// Whether the packet passes. Its link type's program is compiled when the first such packet comes;
        /// where the expression makes no sense for a link type, its packets do not pass, and
        /// [`problems`](Self::problems) reports it.
        pub fn matches(&mut self, packet: &Packet<'_>) -> bool {
            if packet.link == NOT_A_PACKET {
                return false;
            }
            let index = match self.programs.iter().position(|program| program.link == packet.link) {
                Some(index) => index,
                None if self.programs.len() >= MAX_PROGRAMS => return false,
                None => {
                    let compiled = compile(&self.expression, packet.link);
                    self.programs.push(Program { link: packet.link, compiled });
                    self.programs.len() - 1
                }
            };
            match &self.programs[index].compiled {
                Ok(compiled) if packet.bytes.len() as u64 == u64::from(packet.original_len) => {
                    compiled.native.filter(packet.bytes)
                }
                Ok(compiled) => accepts(&compiled.instructions, packet.bytes, packet.original_len),
                Err(_) => false,
            }
        }

        /// Packets that were left out because the expression makes no sense for their link type: a sentence for each
        /// link type.
        pub fn problems(&self) -> impl Iterator<Item = String> {
            let bound = (self.programs.len() >= MAX_PROGRAMS).then(|| {
                format!("the filter {:?} was applied to the first {MAX_PROGRAMS} link types only", self.expression)
            });
            let refused = self.programs.iter().filter_map(|program| {
                let error = program.compiled.as_ref().err()?;
                let name = link_type_name(program.link);
                Some(format!("the filter {:?} cannot be applied to {name} packets: {error}", self.expression))
            });
            refused.chain(bound)
        }
    }

    #[cfg(test)]
    mod tests {
        use proptest::prelude::*;

        use super::*;
        use crate::packet::Stamp;

        fn packet(bytes: &[u8], original_len: u32, link: u16) -> Packet<'_> {
            Packet { stamp: Stamp::default(), link: LinkType(link), bytes, original_len }
        }

        /// An Ethernet frame with a TCP segment in it.
        fn frame(vlan: bool, version: u8, ports: (u16, u16), flags: u8, payload: &[u8]) -> Vec<u8> {
            let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
            if vlan {
                frame.extend([0x81, 0x00, 0x00, 0x05]);
            }
            let length = 20 + payload.len() as u16;
            if version == 6 {
                frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
                frame.extend(length.to_be_bytes());
                frame.extend([6, 64]);
                frame.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
                frame.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
            } else {
                frame.extend([0x08, 0x00, 0x45, 0]);
                frame.extend((length + 20).to_be_bytes());
                frame.extend([0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 7, 10, 0, 0, 8]);
            }
            frame.extend(ports.0.to_be_bytes());
            frame.extend(ports.1.to_be_bytes());
            frame.extend([0, 0, 0, 1, 0, 0, 0, 2, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
            frame.extend(payload);
            frame
        }

        const EXPRESSIONS: [&str; 10] = [
            "tcp port 3000",
            "host 10.0.0.7 and tcp",
            "ip6 and tcp dst port 443",
            "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
            "vlan 5 and tcp port 3000",
            "greater 100",
            "less 80 or (tcp[((tcp[12] & 0xf0) >> 2):2] = 0x8105)",
            "not tcp port 443 and ip[8] > 10",
            "net 10.0.0.0/24 and portrange 3000-4000",
            "ether[0] & 1 = 0 and len % 3 = 1",
        ];

        #[test]
        fn filters_choose_what_they_say() {
            let mut filter = Filter::compile("tcp port 3000").unwrap();
            for version in [4, 6] {
                let yes = frame(false, version, (51000, 3000), 0x18, b"x");
                let no = frame(false, version, (51000, 3001), 0x18, b"x");
                assert!(filter.matches(&packet(&yes, yes.len() as u32, 1)));
                assert!(!filter.matches(&packet(&no, no.len() as u32, 1)));
                // The same without the Ethernet header: its own program.
                assert!(filter.matches(&packet(&yes[14..], yes.len() as u32 - 14, 101)));
                assert!(!filter.matches(&packet(&no[14..], no.len() as u32 - 14, 101)));
                assert!(!filter.clone().matches(&packet(&no[14..], no.len() as u32 - 14, 101)));
            }
            assert_eq!(filter.problems().next(), None);
        }

        #[test]
        fn cut_packets_are_judged_by_their_length_on_the_wire() {
            let mut filter = Filter::compile("greater 1000").unwrap();
            let cut = frame(false, 4, (1, 2), 0x10, b"");
            assert!(filter.matches(&packet(&cut, 1500, 1)));
            assert!(!filter.matches(&packet(&cut, 999, 1)));
            assert!(!filter.matches(&packet(&cut, cut.len() as u32, 1)));
        }

        #[test]
        fn nonsense_is_refused_with_libpcaps_words() {
            let error = Filter::compile("tcp prt 3000").unwrap_err().to_string();
            assert!(error.contains("\"tcp prt 3000\"") && error.contains("syntax error"), "{error}");
            assert!(error.contains("man pcap-filter"));
            assert!(Filter::compile("port 99999").unwrap_err().to_string().contains("99999"));
            assert!(Filter::compile("a\0b").is_err());
        }

        #[test]
        fn what_makes_no_sense_for_a_link_type_is_told() {
            let mut filter = Filter::compile("ether host 02:00:00:00:00:01").unwrap();
            let bytes = frame(false, 4, (1, 2), 0, b"");
            assert!(filter.matches(&packet(&bytes, bytes.len() as u32, 1)));
            assert!(!filter.matches(&packet(&bytes[14..], bytes.len() as u32 - 14, 101)));
            let problems: Vec<String> = filter.problems().collect();
            assert!(problems.len() == 1 && problems[0].contains("RAW packets"), "{problems:?}");
            // An expression for one link type only is no nonsense.
            assert!(Filter::compile("wlan type mgt").is_ok());
        }

        #[test]
        fn link_types_without_end_are_bounded() {
            let mut filter = Filter::compile("len > 0").unwrap();
            let bytes = frame(false, 4, (1, 2), 0, b"");
            assert!(!filter.matches(&packet(&[], 0, NOT_A_PACKET.0)));
            assert_eq!(filter.problems().next(), None);
            for link in 1000..3000 {
                filter.matches(&packet(&bytes, bytes.len() as u32, link));
            }
            assert_eq!(filter.programs.len(), MAX_PROGRAMS);
            assert!(filter.problems().any(|problem| problem.contains("first 64 link types")));
            assert!(filter.matches(&packet(&bytes, bytes.len() as u32, 1)), "those known before still work");
        }

        #[test]
        fn an_empty_filter_passes_everything() {
            let mut filter = Filter::compile("").unwrap();
            assert!(filter.matches(&packet(&[1, 2, 3], 3, 1)));
            assert!(filter.matches(&packet(&[1, 2, 3], 30, 1)));
        }

        proptest! {
            #![proptest_config(ProptestConfig::with_cases(300))]

            /// The two interpreters agree on whole packets, real, cut and random.
            #[test]
            fn our_machine_agrees_with_libpcaps(
                vlan in any::<bool>(),
                version in prop::sample::select(vec![4u8, 6]),
                source in prop::sample::select(vec![3000u16, 443, 3500, 51000]),
                destination in prop::sample::select(vec![3000u16, 443, 80]),
                flags in any::<u8>(),
                text in prop::collection::vec(any::<u8>(), 0..120),
                cut in any::<prop::sample::Index>(),
                rubbish in prop::collection::vec(any::<u8>(), 0..100),
            ) {
                thread_local! {
                    static PROGRAMS: Vec<Compiled> =
                        EXPRESSIONS.iter().map(|expression| compile(expression, LinkType(1)).unwrap()).collect();
                }
                let whole = frame(vlan, version, (source, destination), flags, &text);
                let cut = &whole[..cut.index(whole.len() + 1)];
                PROGRAMS.with(|programs| {
                    for (program, expression) in programs.iter().zip(EXPRESSIONS) {
                        for bytes in [&whole[..], cut, &rubbish] {
                            let ours = accepts(&program.instructions, bytes, bytes.len() as u32);
                            prop_assert_eq!(ours, program.native.filter(bytes), "{}", expression);
                        }
                    }
                    Ok(())
                })?;
            }
        }
    }
}

//! What several connections say together: which of them belong in a report, which are two legs of one proxied
//! connection, which a timer ended, and who keeps coming back. Pure functions of [`Digest`]s; the families whose rules
//! only several connections show have them here.

mod digest;
mod gathered;
pub(super) mod idle_timers;
pub(super) mod operations;
pub(super) mod proxy_legs;
pub(super) mod reconnect_loops;
mod surroundings;

pub use digest::Digest;
pub use gathered::{Gathered, LookUp, remove};
pub use surroundings::{Surroundings, belongs};

use super::finding::Finding;

/// How connections belong together.
#[derive(Clone, Debug)]
pub enum Relation {
    /// Two legs of one connection through a proxy.
    ProxyLeg {
        /// Index of the client's leg among the subjects.
        front: usize,
        /// Index of the leg to the server behind the proxy.
        back: usize,
    },
    /// Attempts in a row by the same client at the same place, all of which came to nothing.
    ReconnectLoop {
        /// Indices of the attempts.
        attempts: Vec<usize>,
        /// Median time between the end of one and the start of the next, in nanoseconds.
        median_gap_ns: i64,
    },
}

/// A finding about several subjects.
#[derive(Clone, Debug)]
pub struct Shared {
    /// Whom it is about.
    pub subjects: Vec<usize>,
    /// What it is.
    pub finding: Finding,
    /// Whose outcome it explains better than anything about them alone.
    pub explains: Vec<usize>,
}

/// Finds relations among all subjects, which were gathered in `parts`, and what follows from them.
#[must_use]
pub fn relate(parts: &[Gathered], look_up: &LookUp<'_, '_>) -> (Vec<Relation>, Vec<Shared>) {
    let mut relations = Vec::new();
    let mut shared = Vec::new();
    for (front, back) in proxy_legs::pairs(parts, look_up) {
        relations.push(Relation::ProxyLeg { front, back });
        shared.extend(proxy_legs::judge(&look_up(front), &look_up(back), front, back));
    }
    shared.extend(idle_timers::judge(parts, look_up));
    for (relation, finding) in reconnect_loops::judge(parts, look_up) {
        relations.push(relation);
        shared.push(finding);
    }
    (relations, shared)
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::digest::{Abnormal, Cut, LONG_SILENCE};
    use super::reconnect_loops::{LOOP_SPAN, LOOP_WARNING};
    use super::*;
    use crate::packet::Stamp;
    use crate::stream::Side;

    const SECOND: i64 = 1_000_000_000;

    /// Subjects in order of time, few of a kind, so that they have much to do with each other.
    fn digests() -> impl Strategy<Value = Vec<Digest>> {
        let one = (0..2_u8, 0..3_u8, any::<bool>(), 0..4_u128, 0..4_i64, prop::option::of(0..2_u16));
        prop::collection::vec(one, 0..60).prop_map(|all| {
            let (mut now, mut digests) = (0, Vec::new());
            for (client, server, fruitless, key, pause, silence) in all {
                now += pause * 8 * SECOND;
                let mut digest = Digest::sample(true);
                digest.client.ip = [10, 0, 0, client].into();
                digest.server.ip = [10, 0, 0, server].into();
                digest.first = Stamp { packet: digests.len() as u64, at: now };
                digest.last = Stamp { at: now + SECOND, ..digest.first };
                digest.came_to_nothing = fruitless;
                // Some come several times, and their halves are alike.
                let key = if key < 3 { key << 64 } else { digests.len() as u128 + 100 };
                digest.key = Some(key.to_be_bytes());
                if let Some(server) = silence {
                    digest.server.port = server;
                    let cut = Cut { by: Side::Client, at: digest.last, last_payload: None, rtt_ns: 0 };
                    let silence = Some(LONG_SILENCE + pause);
                    digest.abnormal = Some(Box::new(Abnormal { cut: Some(cut), silence, ..Abnormal::default() }));
                }
                digests.push(digest);
            }
            digests
        })
    }

    fn gathered(digests: &[Digest]) -> Gathered {
        let mut gathered = Gathered::default();
        digests.iter().for_each(|digest| gathered.add(digest));
        gathered
    }

    fn related(parts: &[Gathered], digests: &[Digest]) -> String {
        format!("{:?}", relate(parts, &|subject| Cow::Borrowed(&digests[subject])))
    }

    /// The same as [`reconnect_loops`], slowly.
    fn loops(digests: &[Digest]) -> Vec<Vec<usize>> {
        let mut places: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (index, digest) in digests.iter().enumerate() {
            places.entry((digest.client.ip, digest.server)).or_default().push(index);
        }
        let mut loops = Vec::new();
        for place in places.values() {
            let runs = place.chunk_by(|a, b| {
                let (a, b) = (&digests[*a], &digests[*b]);
                a.came_to_nothing && b.came_to_nothing && b.first.at - a.last.at < LOOP_SPAN / 3
            });
            let long = runs.filter(|run| run.len() >= LOOP_WARNING && digests[run[0]].came_to_nothing);
            loops.extend(long.map(<[usize]>::to_vec));
        }
        loops.sort();
        loops
    }

    #[test]
    fn an_attempt_given_up_at_once_neither_counts_nor_ends_a_loop() {
        let attempts = |given_up: [bool; 5]| -> Vec<Digest> {
            let one = |(index, given_up): (usize, bool)| {
                let mut digest = Digest::sample(true);
                digest.first = Stamp { packet: index as u64, at: index as i64 * SECOND };
                digest.last = digest.first;
                (digest.came_to_nothing, digest.given_up) = (!given_up, given_up);
                digest
            };
            given_up.into_iter().enumerate().map(one).collect()
        };
        let relations =
            |digests: &[Digest]| relate(&[gathered(digests)], &|subject| Cow::Borrowed(&digests[subject])).0;
        assert!(relations(&attempts([false, true, true, true, false])).is_empty());
        let found = relations(&attempts([false, true, false, true, false]));
        assert!(
            matches!(&found[..], [Relation::ReconnectLoop { attempts, .. }] if *attempts == [0, 2, 4]),
            "{found:?}"
        );
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_subjects_are_parted(digests in digests(), cuts in any::<[prop::sample::Index; 2]>()) {
            let [a, b] = cuts.map(|cut| cut.index(digests.len() + 1));
            let (a, b) = (a.min(b), a.max(b));
            let parts = [gathered(&digests[..a]), gathered(&digests[a..b]), gathered(&digests[b..])];
            prop_assert_eq!(related(&parts, &digests), related(&[gathered(&digests)], &digests));
        }

        #[test]
        fn who_is_forgotten_was_never_there(digests in digests(), keep in prop::collection::vec(any::<bool>(), 60)) {
            let gone: Vec<u32> = (0..digests.len() as u32).filter(|index| !keep[*index as usize]).collect();
            let mut all = gathered(&digests);
            all.forget(&gone);
            let mut rest = digests;
            remove(&mut rest, &gone);
            prop_assert_eq!(related(&[all], &rest), related(&[gathered(&rest)], &rest));
        }

        #[test]
        fn loops_are_runs_of_attempts_at_one_place(digests in digests()) {
            let (relations, _) = relate(&[gathered(&digests)], &|subject| Cow::Borrowed(&digests[subject]));
            let found = relations.into_iter().filter_map(|relation| match relation {
                Relation::ReconnectLoop { attempts, .. } => Some(attempts),
                Relation::ProxyLeg { .. } => None,
            });
            prop_assert_eq!(found.collect::<Vec<_>>(), loops(&digests));
        }
    }
}

//! What is remembered of subjects in a row, so that relations among them are found with a second look at few.

use std::borrow::Cow;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::num::NonZeroU32;

use foldhash::quality::FixedState;

use super::super::catalogue::Rule;
use super::digest::Digest;
use crate::packet::Endpoint;

/// Gives the digest of a subject.
pub type LookUp<'l, 'b> = dyn Fn(usize) -> Cow<'b, Digest> + 'l;

/// What is remembered of subjects in a row so that relations among them are found with a second look at few.
#[derive(Debug, Default)]
pub struct Gathered {
    pub(super) marks: Vec<Mark>,
    pub(super) silences: Vec<Silence>,
    pub(super) fruitless: Vec<Attempt>,
}

/// What is remembered of every subject.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    /// Hash of client, server and path.
    pub(super) place: u64,
    /// A part of the key, if there is one.
    pub(super) key: Option<NonZeroU32>,
    /// An attempt that its client gave up at once, without a fault of anybody.
    pub(super) given_up: bool,
}

/// Who ended after a long silence, at which server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Silence {
    pub(super) subject: u32,
    pub(super) server: Endpoint,
    pub(super) idle: i64,
}

/// An attempt that came to nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    pub(super) subject: u32,
    pub(super) first: i64,
    pub(super) last: i64,
    pub(super) cause: Option<&'static Rule>,
}

impl Gathered {
    /// With room for so many subjects.
    #[must_use]
    pub fn with_capacity(subjects: usize) -> Self {
        Self { marks: Vec::with_capacity(subjects), ..Self::default() }
    }

    /// Takes note of the next subject.
    pub fn add(&mut self, digest: &Digest) {
        let subject = self.marks.len() as u32;
        let place = place(digest);
        // A valid key is random: a part of it tells most of them apart.
        let key = digest.key.map(|[.., a, b, c, d]| u32::from_be_bytes([a, b, c, d]));
        let key = key.map(|key| NonZeroU32::new(key).unwrap_or(NonZeroU32::MIN));
        self.marks.push(Mark { place, key, given_up: digest.given_up });
        if let Some(idle) = digest.silence() {
            self.silences.push(Silence { subject, server: digest.server, idle });
        }
        if digest.came_to_nothing {
            let cause = digest.cause().map(|cause| cause.rule);
            self.fruitless.push(Attempt { subject, first: digest.first.at, last: digest.last.at, cause });
        }
    }

    /// Forgets subjects; those behind them move up. `gone`: their indices, in order.
    pub fn forget(&mut self, gone: &[u32]) {
        remove(&mut self.marks, gone);
        let moved = |subject: u32| gone.binary_search(&subject).err().map(|before| subject - before as u32);
        self.silences.retain_mut(|one| moved(one.subject).map(|subject| one.subject = subject).is_some());
        self.fruitless.retain_mut(|one| moved(one.subject).map(|subject| one.subject = subject).is_some());
    }
}

/// Hash of client, server and path.
fn place(digest: &Digest) -> u64 {
    let bits = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => (u128::from(u32::from(ip)), 4_u32),
        IpAddr::V6(ip) => (u128::from(ip), 6),
    };
    let ((client, version), (server, _)) = (bits(digest.client.ip), bits(digest.server.ip));
    FixedState::default().hash_one((client, server, u32::from(digest.server.port) << 8 | version, digest.path))
}

/// Removes the elements with these indices, which are in order.
pub fn remove<T>(from: &mut Vec<T>, gone: &[u32]) {
    let (mut index, mut gone) = (0, gone.iter().copied().peekable());
    from.retain(|_| {
        index += 1;
        gone.next_if_eq(&(index - 1)).is_none()
    });
}

/// Each part, and how many subjects come before it.
pub(super) fn with_offsets(parts: &[Gathered]) -> impl Iterator<Item = (usize, &Gathered)> {
    parts.iter().scan(0, |next, part| {
        let offset = *next;
        *next += part.marks.len();
        Some((offset, part))
    })
}

//! Where and when WebSockets were seen or attempted, and which of the other connections belong in a report because of it.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use super::digest::{Digest, NameHash};
use crate::packet::Endpoint;

type Set<T> = HashSet<T, foldhash::fast::RandomState>;

/// Which connections without any visible WebSocket belong in the report (the others are only counted):
/// those that failed where a WebSocket was seen or attempted, or while one was failing, and all of them when
/// the capture holds no WebSocket or the user's filter chose them.
#[must_use]
pub fn belongs(digest: &Digest, websockets: &Surroundings, chosen: bool) -> bool {
    let Some(claim) = digest.claim() else { return true };
    if digest.looks_like_websocket || (!websockets.any && claim.may_be_websocket) {
        return true;
    }
    if let Some(name) = claim.refused_connect {
        if claim.wants_login && name.is_some_and(|name| websockets.got_through(digest, name)) {
            return false; // The 407 only asked for the login that the next CONNECT brought.
        }
        // Browsers go through the proxy for much else: only the way to a WebSocket counts.
        return chosen || !websockets.any || name.is_some_and(|name| websockets.names.contains(&name));
    }
    let failed = claim.tcp_failed || (claim.tls_failed && !(claim.merely_left && websockets.trusts(digest)));
    failed && (chosen || websockets.near(digest))
}

/// Where and when WebSockets were seen or attempted.
#[derive(Debug, Default)]
pub struct Surroundings {
    any: bool,
    servers: Set<Endpoint>,
    names: Set<NameHash>,
    /// When attempts were under way that came to a bad end; sorted and apart once `settled`.
    troubles: Vec<(i64, i64)>,
    settled: bool,
    trusting: Set<(IpAddr, Endpoint)>,
    /// Who got through which forward proxy to which name, and when the last of them began.
    tunnels: HashMap<(IpAddr, Endpoint, NameHash), i64, foldhash::fast::RandomState>,
}

impl Surroundings {
    /// As if a WebSocket had been seen, but nowhere near: what belongs in a report even then surely belongs.
    #[must_use]
    pub fn elsewhere() -> Self {
        Self { any: true, ..Self::default() }
    }

    /// Takes note of a WebSocket or attempt and how it ended.
    pub fn add(&mut self, digest: &Digest) {
        if !(digest.is_websocket() || digest.looks_like_websocket) {
            return;
        }
        self.any = true;
        self.servers.insert(digest.server);
        if digest.tls {
            self.trusting.insert((digest.client.ip, digest.server));
        }
        self.names.extend(digest.names.iter().flatten());
        if digest.tunnelled {
            for name in digest.names.iter().flatten() {
                self.tunnel((digest.client.ip, digest.server, *name), digest.first.at);
            }
        }
        if let Some(trouble) = digest.abnormal.as_ref().and_then(|abnormal| abnormal.trouble) {
            self.troubles.push(trouble);
            self.settled = false;
        }
    }

    /// Takes over what others have seen.
    pub fn merge(&mut self, other: Surroundings) {
        self.any |= other.any;
        self.servers.extend(other.servers);
        self.names.extend(other.names);
        self.trusting.extend(other.trusting);
        self.troubles.extend(other.troubles);
        other.tunnels.into_iter().for_each(|(tunnel, began)| self.tunnel(tunnel, began));
        self.settled = false;
    }

    /// Joins times of trouble that overlap, so that a question about them takes few steps. To be called before
    /// many questions are asked; without it answers are the same.
    pub fn settle(&mut self) {
        self.troubles.sort_unstable();
        self.troubles.dedup_by(|next, known| {
            let overlap = next.0 <= known.1;
            if overlap {
                known.1 = known.1.max(next.1);
            }
            overlap
        });
        self.settled = true;
    }

    /// The same client got through to the same server: it has nothing against that certificate, so that a
    /// connection on which it only shook hands was a probe or a spare one.
    fn trusts(&self, digest: &Digest) -> bool {
        self.trusting.contains(&(digest.client.ip, digest.server))
    }

    fn tunnel(&mut self, tunnel: (IpAddr, Endpoint, NameHash), began: i64) {
        let last = self.tunnels.entry(tunnel).or_insert(began);
        *last = began.max(*last);
    }

    /// The same client got through the same forward proxy to this name later.
    fn got_through(&self, digest: &Digest, name: NameHash) -> bool {
        self.tunnels.get(&(digest.client.ip, digest.server, name)).is_some_and(|began| *began >= digest.first.at)
    }

    fn in_trouble(&self, at: i64) -> bool {
        if !self.settled {
            return self.troubles.iter().any(|(from, to)| (*from..=*to).contains(&at));
        }
        let begun = self.troubles.partition_point(|(from, _)| *from <= at);
        begun > 0 && self.troubles[begun - 1].1 >= at
    }

    fn near(&self, digest: &Digest) -> bool {
        let named = digest.names[0].is_some_and(|name| self.names.contains(&name));
        !self.any || named || self.servers.contains(&digest.server) || self.in_trouble(digest.first.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_that_a_proxy_asked_for_is_no_failure_once_the_client_got_through() {
        let name = NameHash::new(7);
        let mut refused = Digest::sample(false);
        let claim = refused.abnormal.as_mut().and_then(|abnormal| abnormal.claim.as_mut()).expect("a claim");
        (claim.tcp_failed, claim.refused_connect, claim.wants_login) = (false, Some(name), true);
        refused.first.at = 10;
        let mut through = Digest::sample(true);
        (through.tunnelled, through.names[1]) = (true, name);
        for (began, belonging) in [(11, false), (9, true)] {
            through.first.at = began;
            let mut websockets = Surroundings::default();
            websockets.add(&through);
            let mut merged = Surroundings::default();
            merged.merge(websockets);
            assert_eq!(belongs(&refused, &merged, false), belonging, "began at {began}");
        }
        // Another client's luck says nothing.
        through.client.ip = [10, 0, 0, 9].into();
        through.first.at = 11;
        let mut websockets = Surroundings::default();
        websockets.add(&through);
        assert!(belongs(&refused, &websockets, false));
    }
}

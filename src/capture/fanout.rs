//! Joins packet sockets into one group, of which each packet reaches one member (Linux, `PACKET_FANOUT`; packet(7)).
//!
//! Beside `privileges`, the only file of this module with `unsafe`: neither the standard library nor a crate used here
//! has a safe call for this socket option. Nothing is read from the sockets here.
//!
//! The kernel chooses the member by a hash over addresses, protocol and ports that is the same for both directions, so
//! a connection stays with one member. It does not always: see `time_merge`, which restores the order.
//!
//! Two flags of the option matter here:
//!
//! * `ROLLOVER`, which is used: a packet whose member has a full buffer goes to another member. So one busy connection
//!   can use the buffers of all, as if there were one.
//! * `DEFRAG`, which is not: the kernel would reassemble IPv4 fragments, deliver one packet that was never on the wire, and
//!   keep those that never become whole. Fragments are hashed without ports, so those of one datagram stay
//!   together, and `packet::fragment` makes them whole.

#![allow(unsafe_code, reason = "no safe call sets the option PACKET_FANOUT of a socket")]

use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd};

/// Joins `sockets`, which must be packet sockets on the same interface, into a new group.
///
/// # Errors
/// When the kernel refuses: not packet sockets, not bound alike, or a kernel before 4.12, which cannot choose a number
/// for the group that is not in use. (One made from the process id might join a stranger's group and take its
/// packets.)
pub(super) fn join<S: AsFd>(sockets: &[S]) -> io::Result<()> {
    let flags = libc::PACKET_FANOUT_HASH | libc::PACKET_FANOUT_FLAG_ROLLOVER;
    let Some((first, others)) = sockets.split_first() else { return Ok(()) };
    set(first, (flags | libc::PACKET_FANOUT_FLAG_UNIQUEID) << 16)?;
    let group = get(first)? & 0xffff;
    others.iter().try_for_each(|other| set(other, flags << 16 | group))
}

/// Sets the option: the group's number in the lower half, how it works in the upper.
fn set(socket: &impl AsFd, value: u32) -> io::Result<()> {
    let size = mem::size_of_val(&value) as libc::socklen_t;
    // SAFETY: the descriptor is open for as long as it is borrowed. The pointer is to a live number of ours and the
    // length is the number's; the call reads that and keeps no pointer.
    let status = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_FANOUT,
            (&raw const value).cast::<libc::c_void>(),
            size,
        )
    };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The option as [`set`], with the number that the kernel chose.
fn get(socket: &impl AsFd) -> io::Result<u32> {
    let mut value = 0_u32;
    let mut size = mem::size_of_val(&value) as libc::socklen_t;
    // SAFETY: the descriptor is open for as long as it is borrowed. Both pointers are to live numbers of ours, and
    // `size` is the first one's length, beyond which the call does not write; it keeps no pointer.
    let status = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_FANOUT,
            (&raw mut value).cast::<libc::c_void>(),
            &raw mut size,
        )
    };
    if status == 0 { Ok(value) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_sockets_are_refused() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(join(&[socket]).is_err());
        assert!(join::<std::net::UdpSocket>(&[]).is_ok());
    }
}

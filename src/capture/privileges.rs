//! Gives up root once the interface is open, as tcpdump's `-Z` does.
//!
//! Beside `fanout`, the only file of this module with `unsafe`: the C library has no safe interface for it.

#![allow(unsafe_code, reason = "changing the user of a process has no safe interface in the C library")]

use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::ptr;

use super::error::Error;

/// Longest user record that is read, in bytes.
const MAX_RECORD: usize = 1 << 20;

/// Becomes `user`: its groups, its group, its identity, for the whole process and for good. Call it after
/// [`Live::open`](super::Live::open) and before reading.
///
/// # Errors
/// When there is no such user, or this process may not change to it.
pub(crate) fn drop_privileges(user: &str) -> Result<(), Error> {
    let (uid, gid) = look_up(user)?;
    let failed = |step: &str| {
        let error = io::Error::last_os_error();
        Error::new(format!("cannot become the user {user} ({step}: {error}); -Z needs root, leave it out otherwise"))
    };
    let name = CString::new(user).map_err(|_| unknown(user))?;
    // SAFETY: `name` is a NUL-terminated string that outlives the call; the call keeps no pointer.
    if unsafe { libc::initgroups(name.as_ptr(), group_argument(gid)) } != 0 {
        return Err(failed("initgroups"));
    }
    // SAFETY: takes a number and touches no memory of ours.
    if unsafe { libc::setgid(gid) } != 0 {
        return Err(failed("setgid"));
    }
    // SAFETY: as above.
    if unsafe { libc::setuid(uid) } != 0 {
        return Err(failed("setuid"));
    }
    // SAFETY: as above. That it fails is what makes the change final.
    if uid != 0 && unsafe { libc::setuid(0) } == 0 {
        return Err(Error::new(format!("became {user}, but could become root again; stopped for safety")));
    }
    Ok(())
}

#[cfg(target_vendor = "apple")]
fn group_argument(gid: libc::gid_t) -> libc::c_int {
    gid as libc::c_int
}

#[cfg(not(target_vendor = "apple"))]
fn group_argument(gid: libc::gid_t) -> libc::gid_t {
    gid
}

fn unknown(user: &str) -> Error {
    Error::new(format!("there is no user {user:?}; name an existing one with -Z"))
}

/// The user's and its group's numbers.
fn look_up(user: &str) -> Result<(libc::uid_t, libc::gid_t), Error> {
    let name = CString::new(user).map_err(|_| unknown(user))?;
    let mut buffer: Vec<libc::c_char> = vec![0; 1024];
    loop {
        let mut record = MaybeUninit::<libc::passwd>::uninit();
        let mut found: *mut libc::passwd = ptr::null_mut();
        // SAFETY: all pointers are to live memory of ours, the length is the buffer's, and the name ends with
        // NUL. `record` is read below only after the call has set `found`, which says that it was filled.
        let status = unsafe {
            libc::getpwnam_r(name.as_ptr(), record.as_mut_ptr(), buffer.as_mut_ptr(), buffer.len(), &raw mut found)
        };
        if status == libc::ERANGE && buffer.len() < MAX_RECORD {
            buffer.resize(buffer.len() * 2, 0);
            continue;
        }
        if status == libc::EINTR {
            continue;
        }
        if found.is_null() {
            return Err(unknown(user));
        }
        // SAFETY: a non-null `found` points to `record`, which is filled then; two numbers are copied out.
        let record = unsafe { record.assume_init_ref() };
        return Ok((record.pw_uid, record.pw_gid));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_looked_up_by_name() {
        assert_eq!(look_up("root").unwrap().0, 0);
        for nobody in ["", "no such user", "a\0b"] {
            assert!(look_up(nobody).unwrap_err().to_string().contains("there is no user"));
        }
    }

    /// In a process of its own, because it cannot be undone.
    #[test]
    fn dropping_is_final() {
        const CHILD: &str = "WSSCAN_TEST_DROP_PRIVILEGES";
        if std::env::var_os(CHILD).is_some() {
            drop_privileges("nobody").unwrap();
            let status = std::fs::read_to_string("/proc/self/status").unwrap();
            let uid = status.lines().find(|line| line.starts_with("Uid:")).unwrap();
            assert!(uid.split_whitespace().skip(1).all(|id| id != "0"), "{uid}");
            assert!(drop_privileges("root").is_err());
            return;
        }
        if super::super::missing_permission().is_some() || look_up("nobody").is_err() {
            eprintln!("skipped: not root, or there is no user nobody");
            return;
        }
        let test = "capture::privileges::tests::dropping_is_final";
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--test-threads", "1"])
            .env(CHILD, "1")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}

//! Mutexes and condition variables without poisoning. The release build aborts on a panic; elsewhere the panic is
//! reported where it happened, and a second one for the poisoned lock would only hide it.

use std::sync::{Mutex, MutexGuard, PoisonError};
#[cfg(feature = "live")]
use std::{sync::Condvar, time::Duration};

/// Locks `mutex`.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for `condvar` to be notified.
#[cfg(feature = "live")]
pub(crate) fn wait<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condvar.wait(guard).unwrap_or_else(PoisonError::into_inner)
}

/// Waits for `condvar` to be notified, at most for `timeout`.
#[cfg(feature = "live")]
pub(crate) fn wait_timeout<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>, timeout: Duration) -> MutexGuard<'a, T> {
    condvar.wait_timeout(guard, timeout).unwrap_or_else(PoisonError::into_inner).0
}

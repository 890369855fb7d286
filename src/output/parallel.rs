//! Many pieces made by several threads, taken in order by one.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::{Condvar, Mutex, PoisonError};

/// Pieces in one block of work.
const BLOCK: usize = 128;

#[derive(Default)]
struct Desk {
    next: usize,
    taken: usize,
    made: BTreeMap<usize, Vec<u8>>,
    stop: bool,
}

/// Calls `make` for blocks of `0..count` on `threads` threads and `take` with the results, in order, on this one.
/// At most four blocks a thread are in memory. The result does not depend on `threads`.
///
/// # Errors
/// The first error of `take`; nothing is taken after it.
pub(super) fn in_order(
    threads: usize,
    count: usize,
    make: impl Fn(Range<usize>) -> Vec<u8> + Sync,
    mut take: impl FnMut(Vec<u8>) -> io::Result<()>,
) -> io::Result<()> {
    let blocks = count.div_ceil(BLOCK);
    let range = |block: usize| block * BLOCK..((block + 1) * BLOCK).min(count);
    if threads <= 1 || blocks <= 1 {
        return (0..blocks).try_for_each(|block| take(make(range(block))));
    }
    let desk = Mutex::new(Desk::default());
    let changed = Condvar::new();
    let lock = || desk.lock().unwrap_or_else(PoisonError::into_inner);
    let worker = || {
        loop {
            let block = {
                let mut desk = lock();
                while !desk.stop && desk.next < blocks && desk.next - desk.taken >= 4 * threads {
                    desk = changed.wait(desk).unwrap_or_else(PoisonError::into_inner);
                }
                if desk.stop || desk.next >= blocks {
                    return;
                }
                desk.next += 1;
                desk.next - 1
            };
            let bytes = make(range(block));
            lock().made.insert(block, bytes);
            changed.notify_all();
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(worker);
        }
        let result = (0..blocks).try_for_each(|block| {
            let bytes = {
                let mut desk = lock();
                loop {
                    if let Some(bytes) = desk.made.remove(&block) {
                        desk.taken = block + 1;
                        break bytes;
                    }
                    desk = changed.wait(desk).unwrap_or_else(PoisonError::into_inner);
                }
            };
            changed.notify_all();
            take(bytes)
        });
        lock().stop = true;
        changed.notify_all();
        result
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(threads: usize, count: usize) -> Vec<u8> {
        let mut out = Vec::new();
        let make = |range: Range<usize>| range.flat_map(|n| n.to_be_bytes()).collect();
        in_order(threads, count, make, |bytes| {
            out.extend(bytes);
            Ok(())
        })
        .unwrap();
        out
    }

    #[test]
    fn the_order_is_that_of_the_pieces_for_any_number_of_threads() {
        for count in [0, 1, BLOCK, BLOCK + 1, 5000] {
            let expected: Vec<u8> = (0..count).flat_map(usize::to_be_bytes).collect();
            for threads in [1, 2, 3, 8] {
                assert_eq!(joined(threads, count), expected);
            }
        }
    }

    #[test]
    fn an_error_stops_the_work() {
        let mut taken = 0;
        let result = in_order(
            4,
            100_000,
            |_| vec![0],
            |_| {
                taken += 1;
                if taken == 3 { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(()) }
            },
        );
        assert_eq!((result.unwrap_err().kind(), taken), (io::ErrorKind::BrokenPipe, 3));
    }
}

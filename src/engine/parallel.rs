//! Many like pieces of work on several threads, with results in order. Never looks at what the pieces are.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

use crate::sync::lock;

/// Calls `make` for blocks of at most `size` of `0..count` on `threads` threads. The results are those of the blocks,
/// in order; with the same `size` they do not depend on `threads`.
pub(crate) fn blocks<T: Send>(
    threads: usize,
    count: usize,
    size: usize,
    make: impl Fn(Range<usize>) -> T + Sync,
) -> Vec<T> {
    let blocks = count.div_ceil(size);
    let range = |block: usize| block * size..((block + 1) * size).min(count);
    if threads <= 1 || blocks <= 1 {
        return (0..blocks).map(|block| make(range(block))).collect();
    }
    let next = AtomicUsize::new(0);
    let results: Vec<Mutex<Option<T>>> = (0..blocks).map(|_| Mutex::new(None)).collect();
    std::thread::scope(|scope| {
        for _ in 0..threads.min(blocks) {
            scope.spawn(|| {
                loop {
                    let block = next.fetch_add(1, Ordering::Relaxed);
                    let Some(place) = results.get(block) else { return };
                    let made = make(range(block));
                    *lock(place) = Some(made);
                }
            });
        }
    });
    results.into_iter().filter_map(|result| result.into_inner().unwrap_or_else(PoisonError::into_inner)).collect()
}

#[derive(Default)]
struct Progress {
    next: usize,
    taken: usize,
    made: BTreeMap<usize, Vec<u8>>,
    spare: Vec<Vec<u8>>,
    stop: bool,
}

/// Calls what `worker` makes, once for each of `threads` threads, for blocks of at most `size` of `0..count`, each with an
/// empty buffer to fill, and `take` with the filled buffers, in order, on this thread. At most four blocks a thread are in memory. With the
/// same `size` the bytes taken do not depend on `threads`.
///
/// # Errors
/// The first error of `take`; nothing is taken after it.
pub(crate) fn in_order<M: FnMut(Range<usize>, &mut Vec<u8>)>(
    threads: usize,
    count: usize,
    size: usize,
    worker: impl Fn() -> M + Sync,
    mut take: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let blocks = count.div_ceil(size);
    let range = |block: usize| block * size..((block + 1) * size).min(count);
    if threads <= 1 || blocks <= 1 {
        let (mut make, mut buffer) = (worker(), Vec::new());
        return (0..blocks).try_for_each(|block| {
            buffer.clear();
            make(range(block), &mut buffer);
            take(&buffer)
        });
    }
    let progress = Mutex::new(Progress::default());
    let (room, ready) = (Condvar::new(), Condvar::new());
    let lock = || lock(&progress);
    let work = || {
        let mut make = worker();
        loop {
            let (block, mut buffer) = {
                let mut state = lock();
                while !state.stop && state.next < blocks && state.next - state.taken >= 4 * threads {
                    state = room.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                if state.stop || state.next >= blocks {
                    return;
                }
                state.next += 1;
                (state.next - 1, state.spare.pop().unwrap_or_default())
            };
            buffer.clear();
            make(range(block), &mut buffer);
            let mut state = lock();
            let is_next = state.taken == block;
            state.made.insert(block, buffer);
            if is_next {
                ready.notify_one();
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
        let result = (0..blocks).try_for_each(|block| {
            let buffer = {
                let mut state = lock();
                loop {
                    if let Some(buffer) = state.made.remove(&block) {
                        break buffer;
                    }
                    state = ready.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
            };
            let taken = take(&buffer);
            let mut state = lock();
            state.spare.push(buffer);
            state.taken = block + 1;
            room.notify_one();
            taken
        });
        lock().stop = true;
        room.notify_all();
        result
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: usize = 128;

    fn joined(threads: usize, count: usize) -> Vec<u8> {
        let mut out = Vec::new();
        let worker = || |range: Range<usize>, out: &mut Vec<u8>| out.extend(range.flat_map(|n| n.to_be_bytes()));
        in_order(threads, count, BLOCK, worker, |bytes| {
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
                let ranges = blocks(threads, count, BLOCK, |range| range);
                assert_eq!(ranges.len(), count.div_ceil(BLOCK));
                assert!(ranges.into_iter().flatten().eq(0..count));
            }
        }
    }

    #[test]
    fn an_error_stops_the_work() {
        let mut taken = 0;
        let result = in_order(
            4,
            100_000,
            BLOCK,
            || |_, out| out.push(0),
            |_| {
                taken += 1;
                if taken == 3 { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(()) }
            },
        );
        assert_eq!((result.unwrap_err().kind(), taken), (io::ErrorKind::BrokenPipe, 3));
    }
}

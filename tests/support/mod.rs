//! What the tests share: where captures are, how the binary is run, what an expectation means.
#![allow(dead_code, reason = "every test crate uses its own part of this")]

pub(crate) mod captures;
pub(crate) mod expectation;
pub(crate) mod run;
pub(crate) mod tshark;

/// Whether this runs in continuous integration, where no test may be skipped.
pub(crate) fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| !value.is_empty() && value != "false" && value != "0")
}

/// Says on stderr why a test does nothing; in continuous integration that is a failure.
///
/// # Panics
/// In continuous integration, always.
pub(crate) fn skip(test: &str, why: &str) {
    assert!(!in_ci(), "{test} must not be skipped in CI: {why}");
    eprintln!("skipped {test}: {why}");
}

/// Calls `work` for every item on a few threads and returns the results in the order of the items.
pub(crate) fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let results: Vec<std::sync::Mutex<Option<R>>> = items.iter().map(|_| std::sync::Mutex::new(None)).collect();
    let workers = std::thread::available_parallelism().map_or(2, usize::from).min(4);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    let Some(item) = items.get(index) else { break };
                    let result = work(item);
                    *results[index].lock().expect("no worker panics while it holds the lock") = Some(result);
                }
            });
        }
    });
    results
        .into_iter()
        .map(|slot| slot.into_inner().expect("all workers are done").expect("every item was worked on"))
        .collect()
}

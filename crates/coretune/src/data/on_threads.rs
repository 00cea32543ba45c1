//! The same work on many items, spread over threads.

use std::thread;

/// Applies `work` to every item on up to `workers` threads; the results in the order of the items. Of a thread that
/// panicked, each item gives `lost`.
pub(crate) fn on_threads<T: Sync, R: Send>(
    items: &[T],
    workers: usize,
    work: impl Fn(&T) -> R + Sync,
    lost: impl Fn(&T) -> R,
) -> Vec<R> {
    let share = items.len().div_ceil(workers.max(1)).max(1);
    let work = &work;
    thread::scope(|scope| {
        let threads: Vec<_> = items
            .chunks(share)
            .map(|part| (part, scope.spawn(move || part.iter().map(work).collect::<Vec<R>>())))
            .collect();
        let joined = |(part, thread): (&[T], thread::ScopedJoinHandle<'_, Vec<R>>)| {
            thread.join().unwrap_or_else(|_| part.iter().map(&lost).collect())
        };
        threads.into_iter().flat_map(joined).collect()
    })
}

/// Threads for work that uses all processors.
pub(crate) fn processors() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use super::on_threads;

    #[test]
    fn results_keep_the_order_of_the_items_and_a_panic_costs_its_own_share() {
        let items: Vec<i32> = (0..10).collect();
        for workers in [0, 1, 3, 20] {
            assert_eq!(on_threads(&items, workers, |item| item * 2, |_| -1), (0..20).step_by(2).collect::<Vec<_>>());
        }
        let fails = |item: &i32| if *item == 4 { panic!("four") } else { *item };
        assert_eq!(on_threads(&items, 5, fails, |_| -1), [0, 1, 2, 3, -1, -1, 6, 7, 8, 9]);
        assert!(on_threads(&[] as &[i32], 3, |item| *item, |_| -1).is_empty());
    }
}

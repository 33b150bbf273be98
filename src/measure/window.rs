//! The last values of a quantity, also in order.

use std::collections::VecDeque;

use crate::time::Span;

/// The last `N` values: their smallest and their middle, at the cost of a few moves for each new one.
#[derive(Clone, Debug, Default)]
pub(super) struct Window<const N: usize> {
    recent: VecDeque<Span>,
    sorted: Vec<Span>,
}

impl<const N: usize> Window<N> {
    /// Adds a value; the oldest goes where there are `N` already.
    pub(super) fn push(&mut self, value: Span) {
        if self.recent.len() >= N
            && let Some(oldest) = self.recent.pop_front()
            && let Ok(at) = self.sorted.binary_search(&oldest)
        {
            self.sorted.remove(at);
        }
        self.recent.push_back(value);
        let at = self.sorted.partition_point(|other| *other < value);
        self.sorted.insert(at, value);
    }

    /// The smallest value.
    #[must_use]
    pub(super) fn min(&self) -> Option<Span> {
        self.sorted.first().copied()
    }

    /// The middle value; of an even number the larger one of the two.
    #[must_use]
    pub(super) fn median(&self) -> Option<Span> {
        self.sorted.get(self.sorted.len() / 2).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_the_last_values_in_order() {
        let mut window = Window::<5>::default();
        assert_eq!((window.min(), window.median()), (None, None));
        let values = [9, 3, 3, 7, 1, 8, 3, 2, 2, 2, 6, 5].map(Span::from_millis);
        for end in 1..=values.len() {
            window.push(values[end - 1]);
            let mut last = values[end.saturating_sub(5)..end].to_vec();
            last.sort();
            assert_eq!((window.min(), window.median()), (Some(last[0]), Some(last[last.len() / 2])));
        }
    }
}

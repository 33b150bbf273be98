//! The last values of a quantity, also in order.

use crate::time::Span;

/// The last `N` values: their smallest and their middle, at the cost of a few moves for each new one.
#[derive(Clone, Debug, Default)]
pub(super) struct Window<const N: usize> {
    /// In the order in which they came, from the place where the next one goes.
    recent: Vec<Span>,
    next: usize,
    sorted: Vec<Span>,
}

impl<const N: usize> Window<N> {
    /// Adds a value; the oldest goes where there are `N` already.
    pub(super) fn push(&mut self, value: Span) {
        let to = self.sorted.partition_point(|other| *other < value);
        match self.recent.get_mut(self.next) {
            Some(place) => {
                let oldest = std::mem::replace(place, value);
                let from = self.sorted.partition_point(|other| *other < oldest);
                self.replace(from, to, value);
            }
            None => {
                self.recent.reserve_exact(N - self.recent.len());
                self.sorted.reserve_exact(N - self.sorted.len());
                self.recent.push(value);
                self.sorted.insert(to, value);
            }
        }
        self.next = (self.next + 1) % N;
    }

    /// Takes out what is at `from` in the sorted values, and puts a value in front of what is at `to`.
    fn replace(&mut self, from: usize, to: usize, value: Span) {
        let place = if from < to {
            self.sorted.copy_within(from + 1..to, from);
            to - 1
        } else {
            self.sorted.copy_within(to..from, to + 1);
            to
        };
        if let Some(place) = self.sorted.get_mut(place) {
            *place = value;
        }
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

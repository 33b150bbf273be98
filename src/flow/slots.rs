//! Values by number, in chunks that stay where they are: growing neither copies what is there nor needs twice the memory.

/// Values in a chunk.
const CHUNK: usize = 256;

/// Places for values; what a place holds can be taken out, and the place be used again.
#[derive(Debug)]
pub(super) struct Slots<T> {
    chunks: Vec<Box<[Option<T>]>>,
    /// Places that were used and are empty.
    free: Vec<u32>,
    /// Places that were ever used.
    used: u32,
}

impl<T> Slots<T> {
    /// No places yet.
    pub(super) const fn new() -> Self {
        Self { chunks: Vec::new(), free: Vec::new(), used: 0 }
    }

    /// How many places were ever used; all numbers are below.
    pub(super) const fn used(&self) -> u32 {
        self.used
    }

    /// The slot with this number, as it lies in memory.
    #[inline]
    pub(super) fn slot(&self, place: u32) -> Option<&Option<T>> {
        self.chunks.get(place as usize / CHUNK)?.get(place as usize % CHUNK)
    }

    /// The value in a place.
    #[inline]
    pub(super) fn get(&self, place: u32) -> Option<&T> {
        self.slot(place)?.as_ref()
    }

    /// The value in a place, to change it.
    #[inline]
    pub(super) fn get_mut(&mut self, place: u32) -> Option<&mut T> {
        self.slot_mut(place)?.as_mut()
    }

    /// Puts a value into a place and gives its number.
    pub(super) fn insert(&mut self, value: T) -> u32 {
        let place = self.free.pop().unwrap_or_else(|| {
            let place = self.used;
            self.used += 1;
            if place as usize == self.chunks.len() * CHUNK {
                self.chunks.push((0..CHUNK).map(|_| None).collect());
            }
            place
        });
        if let Some(slot) = self.slot_mut(place) {
            *slot = Some(value);
        }
        place
    }

    /// Takes the value out of a place.
    pub(super) fn remove(&mut self, place: u32) -> Option<T> {
        let value = self.slot_mut(place)?.take()?;
        self.free.push(place);
        Some(value)
    }

    /// Takes everything out, by number.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = T> + use<T> {
        std::mem::replace(self, Self::new()).chunks.into_iter().flat_map(<[_]>::into_vec).flatten()
    }

    fn slot_mut(&mut self, place: u32) -> Option<&mut Option<T>> {
        self.chunks.get_mut(place as usize / CHUNK)?.get_mut(place as usize % CHUNK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_used_again_and_values_stay_where_they_are() {
        let mut slots = Slots::new();
        let places: Vec<_> = (0..3 * CHUNK).map(|n| slots.insert(n)).collect();
        let first = std::ptr::from_ref(slots.get(places[0]).unwrap());
        assert_eq!(slots.remove(places[7]), Some(7));
        assert_eq!((slots.remove(places[7]), slots.get(places[7])), (None, None));
        assert_eq!(slots.insert(1000), places[7]);
        slots.insert(2000);
        assert_eq!((slots.used() as usize, slots.get(7)), (3 * CHUNK + 1, Some(&1000)));
        assert!(std::ptr::eq(first, slots.get(places[0]).unwrap()));
        assert_eq!(slots.get(u32::MAX), None);
        *slots.get_mut(3).unwrap() = 5;
        assert_eq!(slots.drain().take(9).collect::<Vec<_>>(), [0, 1, 2, 5, 4, 5, 6, 1000, 8]);
        assert_eq!((slots.used(), slots.get(0)), (0, None));
    }
}

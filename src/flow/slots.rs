//! Values by number, in chunks that stay where they are: growing neither copies what is there nor needs twice the memory. Each
//! chunk belongs to one group, so that the values of a group can be gone through, in an order that no other group has a part in.

/// Values in a chunk.
const CHUNK: usize = 64;

/// Places for values; what a place holds can be taken out, and the place be used again.
#[derive(Debug)]
pub(super) struct Slots<T> {
    chunks: Vec<Box<[Option<T>]>>,
    groups: Vec<Group>,
}

/// Places of one group.
#[derive(Clone, Debug, Default)]
struct Group {
    /// Its chunks, by number.
    chunks: Vec<u32>,
    /// Places that were used and are empty.
    free: Vec<u32>,
    /// Places that were ever used.
    used: u32,
}

impl<T> Slots<T> {
    /// No places yet, in so many groups.
    pub(super) fn new(groups: usize) -> Self {
        Self { chunks: Vec::new(), groups: vec![Group::default(); groups] }
    }

    /// All numbers are below.
    pub(super) const fn end(&self) -> u32 {
        (self.chunks.len() * CHUNK) as u32
    }

    /// How many places of a group were ever used.
    pub(super) fn used(&self, group: usize) -> u32 {
        self.groups.get(group).map_or(0, |group| group.used)
    }

    /// How many places of a group hold a value.
    pub(super) fn len(&self, group: usize) -> usize {
        self.groups.get(group).map_or(0, |group| group.used as usize - group.free.len())
    }

    /// The number of the place of a group that was the `nth` to be used.
    pub(super) fn place(&self, group: usize, nth: u32) -> Option<u32> {
        let chunk = self.groups.get(group)?.chunks.get(nth as usize / CHUNK)?;
        Some(chunk * CHUNK as u32 + nth % CHUNK as u32)
    }

    /// The slot that the next value of a group will lie in, where that is allocated.
    #[inline]
    pub(super) fn next(&self, group: usize) -> Option<&Option<T>> {
        let places = self.groups.get(group)?;
        self.slot(places.free.last().copied().or_else(|| self.place(group, places.used))?)
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

    /// Puts a value into a place of a group and gives its number; `None` where there is no such group.
    pub(super) fn insert(&mut self, group: usize, value: T) -> Option<u32> {
        let place = match self.groups.get_mut(group)?.free.pop() {
            Some(place) => place,
            None => self.grow(group)?,
        };
        *self.slot_mut(place)? = Some(value);
        Some(place)
    }

    /// Takes the value out of a place, which is one of the group's.
    pub(super) fn remove(&mut self, group: usize, place: u32) -> Option<T> {
        let value = self.slot_mut(place)?.take()?;
        self.groups.get_mut(group)?.free.push(place);
        Some(value)
    }

    /// Takes everything out, by number.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = T> + use<T> {
        std::mem::replace(self, Self::new(self.groups.len())).chunks.into_iter().flat_map(<[_]>::into_vec).flatten()
    }

    /// A place of a group that was never used.
    fn grow(&mut self, group: usize) -> Option<u32> {
        let nth = self.used(group);
        if (nth as usize).is_multiple_of(CHUNK) {
            let number = self.chunks.len() as u32;
            self.chunks.push((0..CHUNK).map(|_| None).collect());
            self.groups.get_mut(group)?.chunks.push(number);
        }
        self.groups.get_mut(group)?.used += 1;
        self.place(group, nth)
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
        let mut slots = Slots::new(1);
        let places: Vec<_> = (0..3 * CHUNK).map(|n| slots.insert(0, n).unwrap()).collect();
        let first = std::ptr::from_ref(slots.get(places[0]).unwrap());
        assert_eq!(slots.remove(0, places[7]), Some(7));
        assert_eq!((slots.remove(0, places[7]), slots.get(places[7])), (None, None));
        assert_eq!((slots.len(0), slots.insert(0, 1000)), (3 * CHUNK - 1, Some(places[7])));
        slots.insert(0, 2000);
        assert_eq!((slots.used(0) as usize, slots.get(7)), (3 * CHUNK + 1, Some(&1000)));
        assert!(std::ptr::eq(first, slots.get(places[0]).unwrap()));
        assert_eq!(slots.get(u32::MAX), None);
        *slots.get_mut(3).unwrap() = 5;
        assert_eq!(slots.drain().take(9).collect::<Vec<_>>(), [0, 1, 2, 5, 4, 5, 6, 1000, 8]);
        assert_eq!((slots.used(0), slots.end(), slots.get(0)), (0, 0, None));
    }

    #[test]
    fn a_group_has_its_own_order() {
        let mut slots = Slots::new(3);
        for n in 0..10 * CHUNK {
            slots.insert(n % 3, n);
        }
        assert_eq!(slots.insert(3, 0), None);
        let of = |slots: &Slots<usize>, group| -> Vec<_> {
            (0..slots.used(group)).map(|nth| *slots.get(slots.place(group, nth).unwrap()).unwrap()).collect()
        };
        assert_eq!(of(&slots, 1), (1..10 * CHUNK).step_by(3).collect::<Vec<_>>());
        let places = [4, 70, 5].map(|nth| slots.place(2, nth).unwrap());
        for place in places {
            slots.remove(2, place);
        }
        for (n, group) in [(1, 0), (2, 2), (3, 1), (4, 2)] {
            slots.insert(group, n);
        }
        assert_eq!((slots.get(places[2]), slots.get(places[1]), slots.get(places[0])), (Some(&2), Some(&4), None));
        assert!(slots.end() as usize >= 10 * CHUNK);
    }
}

//! Which lease of an address holds when: every address' time, cut into pieces that do not overlap.

use std::{collections::HashMap, net::IpAddr};

use super::Lease;
use crate::time::Timestamp;

/// The pieces of each address, in the order of time.
#[derive(Clone, Debug, Default)]
pub(super) struct Timeline(HashMap<IpAddr, Vec<Piece>>);

/// A stretch of time in which one lease holds.
#[derive(Clone, Copy, Debug)]
struct Piece {
    start: Timestamp,
    /// Not included.
    end: Timestamp,
    /// Position of the lease.
    lease: usize,
}

impl Timeline {
    pub(super) fn of(leases: &[Lease]) -> Self {
        let mut by_ip: HashMap<IpAddr, Vec<Piece>> = HashMap::new();
        for (position, lease) in leases.iter().enumerate() {
            let whole = Piece { start: lease.start, end: lease.end.unwrap_or(Timestamp::MAX), lease: position };
            by_ip.entry(lease.ip).or_default().push(whole);
        }
        for pieces in by_ip.values_mut() {
            pieces.sort_by_key(|piece| piece.start);
            end_at_successor(pieces, leases);
            *pieces = cut(pieces);
        }
        Self(by_ip)
    }

    /// Position of the lease that holds.
    pub(super) fn at(&self, ip: IpAddr, time: Timestamp) -> Option<usize> {
        let pieces = self.0.get(&ip)?;
        let last = pieces.partition_point(|piece| piece.start <= time).checked_sub(1)?;
        pieces.get(last).filter(|piece| time < piece.end).map(|piece| piece.lease)
    }
}

/// Ends leases that do not say when at the start of the next lease, if there is one.
fn end_at_successor(pieces: &mut [Piece], leases: &[Lease]) {
    let mut next = Timestamp::MAX;
    let mut later = Timestamp::MAX;
    for piece in pieces.iter_mut().rev() {
        if piece.start < next {
            (next, later) = (piece.start, next);
        }
        if leases.get(piece.lease).is_some_and(|lease| lease.end.is_none()) {
            piece.end = later;
        }
    }
}

/// Cuts pieces in the order of their start so that where several overlap the one that started last remains.
fn cut(whole: &[Piece]) -> Vec<Piece> {
    let mut cutter = Cutter { done: Vec::with_capacity(whole.len()), open: Vec::new(), now: Timestamp::MIN };
    for piece in whole {
        cutter.advance(piece.start);
        cutter.open.push(*piece);
    }
    cutter.advance(Timestamp::MAX);
    cutter.done
}

struct Cutter {
    done: Vec<Piece>,
    /// What has started, the latest last.
    open: Vec<Piece>,
    now: Timestamp,
}

impl Cutter {
    fn advance(&mut self, to: Timestamp) {
        while let Some(top) = self.open.last().copied() {
            let end = top.end.min(to);
            if end > self.now {
                self.done.push(Piece { start: self.now, end, lease: top.lease });
                self.now = end;
            }
            if top.end > to {
                break;
            }
            self.open.pop();
        }
        self.now = to;
    }
}

//! What several engines observed, in one order: by the keys of the observations, so that the second stage sees the same whatever the
//! number of engines. An observation goes on as soon as no other engine can come with an earlier one.

use std::collections::VecDeque;

use crate::{
    observation::{Observation, ObservationKey},
    time::Timestamp,
};

/// How far an engine is: what it observes from now on has no earlier key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mark {
    frame: u64,
    time: Timestamp,
}

impl Mark {
    /// At the end.
    pub(super) const END: Self = Self { frame: u64::MAX, time: Timestamp::MAX };

    /// In the midst of a frame.
    pub(super) const fn at_frame(frame: u64) -> Self {
        Self { frame, time: Timestamp::MIN }
    }

    /// Behind a frame, and at a time.
    pub(super) const fn behind(frame: u64, time: Timestamp) -> Self {
        Self { frame, time }
    }

    /// How far an engine must be for all others to be behind this key.
    const fn of(key: ObservationKey) -> Self {
        Self { frame: key.frame, time: key.time }
    }
}

/// What an engine has observed since its last message.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) observations: Vec<Observation>,
    pub(super) up_to: Mark,
}

/// What is to be done next.
#[derive(Debug)]
pub(super) enum Next {
    /// To hand this on.
    Observation(Box<Observation>),
    /// To wait for this engine.
    Wait(usize),
    /// Nothing more comes.
    End,
}

/// What came from each engine and was not handed on.
#[derive(Debug)]
pub(super) struct Lanes(Vec<Lane>);

#[derive(Debug)]
struct Lane {
    waiting: VecDeque<Observation>,
    up_to: Mark,
}

impl Lane {
    /// Whether nothing can come from here that would go before this.
    fn is_beyond(&self, mark: Mark) -> bool {
        !self.waiting.is_empty() || self.up_to > mark
    }
}

impl Lanes {
    /// Of so many engines that have observed nothing.
    pub(super) fn new(engines: usize) -> Self {
        Self((0..engines).map(|_| Lane { waiting: VecDeque::new(), up_to: Mark::at_frame(0) }).collect())
    }

    /// Takes in what came from an engine.
    pub(super) fn push(&mut self, engine: usize, message: Message) {
        if let Some(lane) = self.0.get_mut(engine) {
            lane.waiting.extend(message.observations);
            lane.up_to = message.up_to;
        }
    }

    /// The next observation, or what it takes to have one.
    pub(super) fn next(&mut self) -> Next {
        let heads = self.0.iter().enumerate().filter_map(|(engine, lane)| Some((lane.waiting.front()?.key, engine)));
        let first = heads.min();
        let mark = first.map_or(Mark::at_frame(u64::MAX), |(key, _)| Mark::of(key));
        let behind = self.0.iter().enumerate().filter(|(_, lane)| !lane.is_beyond(mark));
        if let Some((engine, _)) = behind.min_by_key(|(_, lane)| lane.up_to) {
            return Next::Wait(engine);
        }
        let observation = first.and_then(|(_, engine)| self.0.get_mut(engine)?.waiting.pop_front());
        observation.map_or(Next::End, |observation| Next::Observation(Box::new(observation)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{flow::SessionId, observation::Body};

    fn observation(frame: u64, time: i64, session: u64) -> Observation {
        let time = Timestamp::from_nanos(time);
        let key = ObservationKey { frame, time, session: SessionId(session), sequence: 0 };
        Observation { key, body: Body::ClockSet { from: time, until: time } }
    }

    /// The sessions that come out now, and whom it waits for then.
    fn out(lanes: &mut Lanes) -> (Vec<u64>, Option<usize>) {
        let mut sessions = Vec::new();
        loop {
            match lanes.next() {
                Next::Observation(observation) => sessions.push(observation.key.session.0),
                Next::Wait(engine) => return (sessions, Some(engine)),
                Next::End => return (sessions, None),
            }
        }
    }

    #[test]
    fn they_come_out_by_their_keys_as_soon_as_that_is_sure() {
        let mut lanes = Lanes::new(2);
        let message = |observations, up_to| Message { observations, up_to };
        assert_eq!(out(&mut lanes), (vec![], Some(0)));
        lanes.push(0, message(vec![observation(5, 50, 1), observation(9, 90, 3)], Mark::at_frame(9)));
        assert_eq!(out(&mut lanes), (vec![], Some(1)));
        lanes.push(1, message(vec![], Mark::at_frame(5)));
        assert_eq!(out(&mut lanes), (vec![], Some(1)), "it may still have something at that frame");
        lanes.push(1, message(vec![observation(5, 50, 2)], Mark::behind(5, Timestamp::from_nanos(51))));
        assert_eq!(out(&mut lanes), (vec![1, 2], Some(1)));
        lanes.push(1, message(vec![], Mark::behind(9, Timestamp::from_nanos(90))));
        assert_eq!(out(&mut lanes), (vec![], Some(1)));
        lanes.push(1, message(vec![], Mark::behind(9, Timestamp::from_nanos(91))));
        assert_eq!(out(&mut lanes), (vec![3], Some(0)), "no frame has to come, time is enough");
        lanes.push(0, message(vec![], Mark::END));
        lanes.push(1, message(vec![observation(u64::MAX, 7, 4)], Mark::END));
        assert_eq!(out(&mut lanes), (vec![4], None));
    }
}

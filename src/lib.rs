//! keywitness bears witness to typing.
// (the picture, invariants and vocabulary land with the pipeline)
pub mod capture;
pub mod flow;
pub mod judge;
pub mod time;
pub mod wire;
pub mod cue;
pub mod protocol;
pub mod measure;
pub mod observation;
pub mod engine;

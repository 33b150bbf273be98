//! keywitness bears witness to typing.
// (the picture, invariants and vocabulary land with the pipeline)
pub mod capture;
pub mod flow;
pub mod time;
pub mod wire;

//! placeholder
pub mod capture;
pub mod wire;
pub mod flow;
pub mod cue;
pub mod protocol;
pub mod measure;
pub mod observation;
pub mod engine;
pub mod judge;
pub mod event;
pub mod correlator;
pub mod output;
pub mod run;
pub mod cli;
pub mod config;
pub mod time;

//! The relay: signs people in, carries their terminals to the agents, records every session.
//!
//! In reading order: [`domain`] (what it talks about, pure), [`store`] (what it knows), [`auth`], [`http`] (browsers),
//! [`tunnel`] (agents), [`session`] and [`recording`] (between the two), and [`serve`], which puts them together.

pub mod admin;
pub mod app;
pub mod audit;
pub mod auth;
pub mod clock;
pub mod commands;
pub mod config;
pub mod data_folder;
pub mod doctor;
pub mod domain;
pub mod entropy;
pub mod http;
pub mod joining;
pub mod lifecycle;
pub mod outbound;
pub mod pki;
pub mod public;
pub mod recording;
mod recording_jobs;
pub mod replay;
pub mod serve;
pub mod session;
pub mod store;
pub mod telemetry;
pub mod terminal;
pub mod tunnel;

//! What everything in a serving relay shares. Handles only, no logic.

use std::sync::Arc;

use crate::auth::seal::SealingKeys;
use crate::auth::sign_in::SignInMethods;
use crate::clock::Clock;
use crate::config::{Config, PublicUrl};
use crate::entropy::Entropy;
use crate::http::guesses::Guesses;
use crate::joining::Joining;
use crate::lifecycle::Lifecycle;
use crate::outbound::Dialler;
use crate::public::health::Healths;
use crate::public::keeper::KeeperBell;
use crate::recording::archive::Archives;
use crate::replay::Replays;
use crate::session::Sessions;
use crate::store::Store;
use crate::tunnel::Agents;

/// The handles. Cheap to clone.
#[derive(Debug, Clone)]
pub struct App {
    /// What it was told.
    pub config: Arc<Config>,
    /// The address that people open.
    pub public_url: Arc<PublicUrl>,
    /// What it knows.
    pub store: Store,
    /// What time it is.
    pub clock: Clock,
    /// Where ids and tokens come from.
    pub entropy: Entropy,
    /// Seals the secrets of others.
    pub sealing: SealingKeys,
    /// When to stop, and what runs.
    pub lifecycle: Lifecycle,
    /// How agents join; `None` where the relay cannot tell what they are to dial.
    pub joining: Option<Arc<Joining>>,
    /// The connected agents.
    pub agents: Agents,
    /// The way to addresses that others chose.
    pub dialler: Dialler,
    /// Has the public clusters looked after.
    pub public_clusters: KeeperBell,
    /// Which of them answer.
    pub public_healths: Healths,
    /// The live sessions.
    pub sessions: Sessions,
    /// The stored recordings.
    pub archives: Archives,
    /// Plays recordings.
    pub replays: Replays,
    /// Bounds how often somebody may guess at a secret.
    pub guesses: Guesses,
    /// The ways to sign in.
    pub sign_in: SignInMethods,
}

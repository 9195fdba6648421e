//! What is done about recordings in the background.

use tokio::sync::mpsc;
use tracing::info;

use crate::clock::Clock;
use crate::recording::Sealed;
use crate::store::Store;

/// Notes every recording that is stored whole. Ends with the recorder.
pub(crate) async fn note_sealed(_store: Store, _clock: Clock, mut sealed: mpsc::Receiver<Sealed>) {
    while let Some(recording) = sealed.recv().await {
        info!(session.id = %recording.session, bytes = recording.bytes, "noted a recording");
        // An error means that the relay stops.
        let _over = recording.noted.send(());
    }
}

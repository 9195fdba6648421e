//! Ephemeral containers: added to a pod that runs, started once, never restarted, never removed.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Kubelet, PodName, container_name, pod_name};
use crate::cluster::objects;
use crate::container::{Container, Ended, Image};
use crate::store::Key;

/// How soon a failed pull is called a back-off.
const BACK_OFF: Duration = Duration::from_secs(1);

/// The images that can be pulled here; what they are, their names say ([`Image::of_name`]).
const KNOWN_IMAGES: [&str; 4] = ["busybox", "debian", "pause", "distroless"];

impl Kubelet {
    /// Runs a container that was just added to a pod, in a task of its own.
    pub(crate) fn add_ephemeral(self: &Arc<Self>, key: Key, spec: Value) {
        let kubelet = Arc::clone(self);
        self.tasks.spawn(async move {
            let stop = kubelet.stop.clone();
            tokio::select! {
                () = stop.cancelled() => (),
                () = kubelet.run_ephemeral(&key, &spec) => (),
            }
        });
    }

    async fn run_ephemeral(&self, key: &Key, spec: &Value) {
        let report = |id: &str, state: Value| self.report(key, spec, id, &state);
        report("", json!({"waiting": {"reason": "ContainerCreating"}}));
        let image = spec["image"].as_str().unwrap_or_default();
        if !is_known(image) {
            let message = format!(
                "failed to pull and unpack image \"{image}\": failed to resolve reference \"{image}\": not found"
            );
            report("", json!({"waiting": {"reason": "ErrImagePull", "message": message}}));
            tokio::time::sleep(BACK_OFF).await;
            let message = format!("Back-off pulling image \"{image}\"");
            return report("", json!({"waiting": {"reason": "ImagePullBackOff", "message": message}}));
        }
        let name = pod_name(key);
        let id = objects::random_hex();
        let started = self.start_ephemeral(&name, spec, &id).await;
        let (since, ended, reason) = match started {
            Ok(container) => {
                let since = container.started_at;
                report(&id, json!({"running": {"startedAt": objects::time(since)}}));
                let ended = container.wait().await;
                drop(container);
                self.release(&name, spec);
                (since, ended, if ended.exit_code == 0 { "Completed" } else { "Error" })
            }
            Err(error) => {
                tracing::info!(pod = name.name, "an ephemeral container does not start: {error:#}");
                let now = Timestamp::now();
                (now, Ended { exit_code: 128, at: now }, "StartError")
            }
        };
        let terminated = json!({"exitCode": ended.exit_code, "reason": reason, "startedAt": objects::time(since),
            "finishedAt": objects::time(ended.at), "containerID": format!("containerd://{id}")});
        report(&id, json!({"terminated": terminated}));
    }

    /// Starts the container in the pod's table, so that execs and the pod's end find it.
    async fn start_ephemeral(&self, name: &PodName, spec: &Value, id: &str) -> anyhow::Result<Container> {
        let mut plan = self.container_spec(name, spec);
        if plan.image == Image::Shellless && plan.command.first().is_some_and(|program| program != "/pause") {
            anyhow::bail!("exec: {:?}: executable file not found in $PATH", plan.command);
        }
        let target = spec["targetContainerName"].as_str().filter(|target| !target.is_empty());
        if let Some(target) = target {
            let target = self.container(name, target).ok_or_else(|| anyhow::anyhow!("{target} does not run"))?;
            plan.processes_of = Some(target.pid);
        }
        let container = Container::start(&self.host, plan, &self.folder.join(id), &self.tasks).await?;
        let mut pods = self.lock();
        let entry = pods.get_mut(name).ok_or_else(|| anyhow::anyhow!("the pod is gone"))?;
        let slot = entry.containers.entry(container_name(spec).to_owned()).or_default();
        slot.log = Some(Arc::clone(&container.log));
        slot.running = Some(container.clone());
        Ok(container)
    }

    /// Writes what became of the container into the pod's status.
    fn report(&self, key: &Key, spec: &Value, id: &str, state: &Value) {
        let image = spec["image"].as_str().unwrap_or_default();
        let mut status = json!({"name": spec["name"], "state": state, "lastState": {}, "ready": false,
            "restartCount": 0, "image": image, "imageID": ""});
        if !id.is_empty() {
            status["imageID"] = json!(objects::image_id(image));
            status["containerID"] = json!(format!("containerd://{id}"));
            status["resources"] = json!({});
        }
        self.store.update(key, |pod| {
            let all = &mut pod["status"]["ephemeralContainerStatuses"];
            let mut statuses = all.as_array().cloned().unwrap_or_default();
            match statuses.iter_mut().find(|one| one["name"] == status["name"]) {
                Some(old) => *old = status,
                None => statuses.push(status),
            }
            *all = json!(statuses);
        });
    }
}

fn is_known(image: &str) -> bool {
    let last = image.rsplit('/').next().unwrap_or(image);
    let base = last.split([':', '@']).next().unwrap_or(last);
    KNOWN_IMAGES.contains(&base)
}

//! Runs pods: one task for each, from its scheduling to its deletion.

mod ephemeral;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;
use rustix::process::Signal;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::objects::{self, Activity, ContainerView, Sandbox};
use crate::container::{Container, ContainerSpec, Ended, Host, Image, Log, Wanted};
use crate::store::{Key, Store};

/// The pause before a container's first restart; it doubles up to the longest.
const FIRST_RESTART_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_RESTART_PAUSE: Duration = Duration::from_secs(16);
/// How long a killed container may take to be gone.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);

/// Names a pod.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct PodName {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// Starts pods and knows their containers.
#[derive(Debug)]
pub(crate) struct Kubelet {
    store: Arc<Store>,
    host: Host,
    folder: PathBuf,
    /// What every container has in its environment.
    environment: Vec<(String, String)>,
    pods: Mutex<HashMap<PodName, PodEntry>>,
    tasks: TaskTracker,
    stop: CancellationToken,
    next_ip: AtomicU32,
}

#[derive(Debug)]
struct PodEntry {
    deletions: mpsc::Sender<Duration>,
    containers: HashMap<String, Slot>,
}

/// A container's place in its pod, across restarts.
#[derive(Debug, Default, Clone)]
struct Slot {
    running: Option<Container>,
    log: Option<Arc<Log>>,
    previous_log: Option<Arc<Log>>,
}

/// Which log of a container is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Instance {
    Current,
    Previous,
}

impl Kubelet {
    pub(crate) fn new(store: Arc<Store>, host: Host, folder: PathBuf, environment: Vec<(String, String)>) -> Self {
        Self {
            store,
            host,
            folder,
            environment,
            pods: Mutex::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            next_ip: AtomicU32::new(11),
        }
    }

    /// Takes a stored pod on. Its containers start in a task of its own.
    pub(crate) fn adopt(self: &Arc<Self>, key: Key) {
        let (deletions, deletion_rx) = mpsc::channel(4);
        let entry = PodEntry { deletions, containers: HashMap::new() };
        self.lock().insert(pod_name(&key), entry);
        let kubelet = Arc::clone(self);
        self.tasks.spawn(async move { kubelet.run_pod(key, deletion_rx).await });
    }

    /// Asks for the end of a pod; its processes get the grace time. Says nothing about unknown pods.
    pub(crate) fn delete(&self, name: &PodName, grace: Duration) {
        if let Some(entry) = self.lock().get(name) {
            // A full queue already holds a deletion.
            let _ = entry.deletions.try_send(grace);
        }
    }

    /// The running container of that name.
    pub(crate) fn container(&self, pod: &PodName, container: &str) -> Option<Container> {
        self.lock().get(pod)?.containers.get(container)?.running.clone().filter(Container::is_running)
    }

    /// What a container wrote.
    pub(crate) fn log(&self, pod: &PodName, container: &str, instance: Instance) -> Option<Arc<Log>> {
        let pods = self.lock();
        let slot = pods.get(pod)?.containers.get(container)?;
        match instance {
            Instance::Current => slot.log.clone(),
            Instance::Previous => slot.previous_log.clone(),
        }
    }

    /// Kills all containers; does not wait.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// Kills all containers and waits until they are gone. Not cancel safe.
    pub(crate) async fn shutdown(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    async fn run_pod(&self, key: Key, mut deletions: mpsc::Receiver<Duration>) {
        let name = pod_name(&key);
        let stop = self.stop.clone();
        let grace = tokio::select! {
            () = stop.cancelled() => None,
            grace = self.live(&key, &name, &mut deletions) => Some(grace),
        };
        self.end(&key, &name, grace.unwrap_or(Duration::ZERO), &mut deletions).await;
        self.lock().remove(&name);
        if grace.is_some() {
            self.store.delete(&key);
        }
    }

    /// Schedules the pod, keeps its containers running, and returns when it is to be deleted.
    async fn live(&self, key: &Key, name: &PodName, deletions: &mut mpsc::Receiver<Duration>) -> Duration {
        let Some(pod) = self.store.get(key) else { return Duration::ZERO };
        if pod["spec"]["nodeSelector"].as_object().is_some_and(|selector| !selector.is_empty()) {
            self.store.update(key, |pod| objects::set_unschedulable(pod, Timestamp::now()));
            return deletions.recv().await.unwrap_or_default();
        }
        self.store.update(key, |pod| objects::set_scheduled(pod, Timestamp::now()));
        let specs = pod["spec"]["containers"].as_array().cloned().unwrap_or_default();
        let mut views = vec![waiting_view(); specs.len()];
        let pod_ip = self.pod_ip();
        let sandbox = (Sandbox::Present, pod_ip.as_str());
        self.publish(key, &views, (Sandbox::Absent, &pod_ip));
        self.publish(key, &views, sandbox);
        let policy = pod["spec"]["restartPolicy"].as_str().unwrap_or("Always").to_owned();
        for (spec, view) in specs.iter().zip(&mut views) {
            self.start(name, spec, view).await;
        }
        self.publish(key, &views, sandbox);
        let mut ends: FuturesUnordered<_> = (0..specs.len()).map(|index| self.watch_end(name, &specs, index)).collect();
        loop {
            tokio::select! {
                grace = deletions.recv() => return grace.unwrap_or_default(),
                Some((index, ended)) = ends.next() => {
                    let view = &mut views[index];
                    record_end(view, ended);
                    self.release(name, &specs[index]);
                    self.publish(key, &views, sandbox);
                    if restarts(&policy, ended) {
                        let view = &mut views[index];
                        tokio::select! {
                            grace = deletions.recv() => return grace.unwrap_or_default(),
                            () = self.restart(name, &specs[index], view) => (),
                        }
                        self.publish(key, &views, sandbox);
                        ends.push(self.watch_end(name, &specs, index));
                    } else if ends.is_empty() {
                        self.publish(key, &views, (Sandbox::Absent, &pod_ip));
                    }
                }
            }
        }
    }

    async fn watch_end(&self, name: &PodName, specs: &[Value], index: usize) -> (usize, Ended) {
        let container = container_name(&specs[index]);
        let running = {
            let pods = self.lock();
            pods.get(name).and_then(|entry| entry.containers.get(container)?.running.clone())
        };
        let ended = match running {
            Some(container) => container.wait().await,
            None => Ended { exit_code: 128, at: Timestamp::now() },
        };
        (index, ended)
    }

    async fn restart(&self, name: &PodName, spec: &Value, view: &mut ContainerView) {
        let pause = FIRST_RESTART_PAUSE.saturating_mul(1 << view.restarts.min(8)).min(LONGEST_RESTART_PAUSE);
        tokio::time::sleep(pause).await;
        view.restarts += 1;
        self.start(name, spec, view).await;
    }

    async fn start(&self, name: &PodName, spec: &Value, view: &mut ContainerView) {
        let id = objects::random_hex();
        let started =
            Container::start(&self.host, self.container_spec(name, spec), &self.folder.join(&id), &self.tasks).await;
        match started {
            Ok(container) => {
                if let Activity::Terminated { since, ended } = view.activity {
                    view.last = Some((since, ended));
                }
                view.activity = Activity::Running { since: container.started_at };
                view.id = id;
                let mut pods = self.lock();
                if let Some(entry) = pods.get_mut(name) {
                    let slot = entry.containers.entry(container_name(spec).to_owned()).or_default();
                    slot.previous_log = slot.log.replace(Arc::clone(&container.log));
                    slot.running = Some(container);
                }
            }
            Err(error) => {
                tracing::error!(pod = name.name, "{error:#}");
                view.activity = Activity::Waiting { reason: "CreateContainerError" };
            }
        }
    }

    /// Ends what still runs: TERM, the grace time, KILL.
    async fn end(&self, key: &Key, name: &PodName, grace: Duration, deletions: &mut mpsc::Receiver<Duration>) {
        let running: Vec<Container> = match self.lock().get_mut(name) {
            Some(entry) => entry.containers.values_mut().filter_map(|slot| slot.running.take()).collect(),
            None => Vec::new(),
        };
        let all_gone = || async {
            for container in &running {
                container.wait().await;
            }
        };
        for container in &running {
            container.signal(if grace.is_zero() { Signal::KILL } else { Signal::TERM });
        }
        if !grace.is_zero() {
            tokio::select! {
                () = all_gone() => (),
                () = tokio::time::sleep(grace) => (),
                // A second deletion is an impatient one.
                _ = deletions.recv() => (),
                () = self.stop.cancelled() => (),
            }
            for container in &running {
                container.signal(Signal::KILL);
            }
        }
        if tokio::time::timeout(KILL_TIMEOUT, all_gone()).await.is_err() {
            tracing::error!(pod = %key.name, "a killed container does not end");
        }
    }

    fn release(&self, name: &PodName, spec: &Value) {
        if let Some(slot) = self.lock().get_mut(name).and_then(|entry| entry.containers.get_mut(container_name(spec))) {
            slot.running = None;
        }
    }

    fn publish(&self, key: &Key, views: &[ContainerView], sandbox: (Sandbox, &str)) {
        self.store.update(key, |pod| objects::set_status(pod, views, sandbox, Timestamp::now()));
    }

    fn container_spec(&self, name: &PodName, spec: &Value) -> ContainerSpec {
        let words = |field: &str| -> Vec<String> {
            let words = spec[field].as_array().into_iter().flatten();
            words.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let image = Image::of_name(spec["image"].as_str().unwrap_or_default());
        let mut command = words("command");
        command.extend(words("args"));
        let mut environment = self.environment.clone();
        environment.push(("HOSTNAME".to_owned(), name.name.clone()));
        for variable in spec["env"].as_array().into_iter().flatten() {
            if let (Some(key), Some(value)) = (variable["name"].as_str(), variable["value"].as_str()) {
                environment.push((key.to_owned(), value.to_owned()));
            }
        }
        let stdin = if spec["stdin"] == true { Wanted::Yes } else { Wanted::No };
        ContainerSpec { image, host_name: name.name.clone(), command, environment, stdin, processes_of: None }
    }

    fn pod_ip(&self) -> String {
        let number = self.next_ip.fetch_add(1, Ordering::Relaxed);
        format!("10.244.{}.{}", number / 250 % 250, number % 250 + 1)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PodName, PodEntry>> {
        self.pods.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) fn pod_name(key: &Key) -> PodName {
    PodName { namespace: key.namespace.clone(), name: key.name.clone() }
}

fn container_name(spec: &Value) -> &str {
    spec["name"].as_str().unwrap_or_default()
}

fn waiting_view() -> ContainerView {
    let activity = Activity::Waiting { reason: "ContainerCreating" };
    ContainerView { activity, last: None, restarts: 0, id: String::new() }
}

fn record_end(view: &mut ContainerView, ended: Ended) {
    if let Activity::Running { since } = view.activity {
        view.activity = Activity::Terminated { since, ended };
    }
}

fn restarts(policy: &str, ended: Ended) -> bool {
    match policy {
        "Never" => false,
        "OnFailure" => ended.exit_code != 0,
        _ => true,
    }
}

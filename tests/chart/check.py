"""Checks charts/podlatch-agent with real helm: lint, schema, rendering for every supported Kubernetes, rights, snapshots.

Run by `make check`; `tests/chart/check.py --write` rewrites the snapshots after a wanted change. Needs what
tests/tools/fetch-kubectl-helm.sh puts into target/tools.
"""

import difflib
import itertools
import pathlib
import subprocess
import sys

import kubernetes_validate
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "podlatch-agent"
HELM = ROOT / "target" / "tools" / "helm"
RELEASE, NAMESPACE = "podlatch", "podlatch-system"
KUBERNETES_VERSIONS = [f"1.{minor}.0" for minor in range(30, 38)]
CASES = sorted((CHART / "ci").glob("*.yaml"))

READ = {"get", "list", "watch"}
WORKLOADS = {("apps", name): READ for name in ("deployments", "statefulsets", "daemonsets", "replicasets")}
WORKLOADS |= {("batch", name): READ for name in ("jobs", "cronjobs")}
# The whole of what an agent may do where pods are. Whoever changes this changes what Podlatch asks of a cluster.
POD_RIGHTS = {("", "pods"): READ, ("", "pods/exec"): {"get", "create"}} | WORKLOADS

# What the schema must refuse: a name, the values on top of the smallest install, and words of the complaint.
REFUSED = [
    ("no relay address", {"relay": {"address": ""}}, "/relay/address"),
    ("a relay address without a port", {"relay": {"address": "relay.example.com"}}, "/relay/address"),
    ("a relay address with a scheme", {"relay": {"address": "https://relay.example.com:443"}}, "/relay/address"),
    ("port 0", {"relay": {"address": "relay.example.com:0"}}, "/relay/address"),
    ("port 65536", {"relay": {"address": "relay.example.com:65536"}}, "/relay/address"),
    ("no pin", {"relay": {"caPin": ""}}, "/relay/caPin"),
    ("a pin without its kind", {"relay": {"caPin": "1f" * 32}}, "/relay/caPin"),
    ("a short pin", {"relay": {"caPin": "sha256:1f"}}, "/relay/caPin"),
    ("a pin in capitals", {"relay": {"caPin": "sha256:" + "1F" * 32}}, "/relay/caPin"),
    ("a prefix of Kubernetes' own", {"impersonation": {"userPrefix": "system:"}}, "/impersonation/userPrefix"),
    ("a group of Kubernetes' own", {"impersonation": {"groups": ["system:masters"]}}, "/impersonation/groups/0"),
    ("a group with a comma", {"impersonation": {"groups": ["a,b"]}}, "/impersonation/groups/0"),
    ("an empty user", {"impersonation": {"users": [""]}}, "/impersonation/users/0"),
    ("all images by a star", {"debug": {"images": ["*"]}}, "/debug/images/0"),
    ("an unknown value", {"relayAddress": "relay.example.com:443"}, "relayAddress"),
    ("an unknown value further down", {"relay": {"pin": "sha256:" + "1f" * 32}}, "pin"),
    ("a token and an existing Secret", {"joinToken": {"existingSecret": {"name": "join"}}}, "/joinToken"),
    ("a token of another kind", {"joinToken": {"value": "plt_" + "A" * 43}}, "/joinToken/value"),
    ("a namespace in capitals", {"namespaces": ["Shop"]}, "/namespaces/0"),
    ("all namespaces by a star", {"namespaces": ["*"]}, "/namespaces/0"),
    ("a namespace twice", {"namespaces": ["shop", "shop"]}, "/namespaces"),
    ("namespaces as text", {"namespaces": "shop"}, "/namespaces"),
    ("no replica", {"replicaCount": 0}, "/replicaCount"),
    ("more replicas than a token is good for", {"replicaCount": 17}, "/replicaCount"),
    ("a guard's namespace in capitals", {"guard": {"namespaces": ["Shop-*"]}}, "/guard/namespaces/0"),
    ("a guard's label that would be two", {"guard": {"podLabels": ["a=b,c=d"]}}, "/guard/podLabels/0"),
    ("a guard's set of values", {"guard": {"podLabels": ["a in (b)"]}}, "/guard/podLabels/0"),
    ("two lists of namespaces", {"namespaces": ["shop"], "guard": {"namespaces": ["s*"]}}, "not"),
    ("the account that all pods share", {"serviceAccount": {"create": False}}, "/serviceAccount"),
    ("a digest that is a tag", {"image": {"digest": "latest"}}, "/image/digest"),
    ("a drain time in words", {"drainTimeoutSeconds": "5m"}, "/drainTimeoutSeconds"),
    ("a policy without networks", {"networkPolicy": {"relay": {"cidrs": []}}}, "/networkPolicy/relay/cidrs"),
]

failures: list[str] = []


def expect(holds: bool, complaint: str) -> None:
    if not holds:
        failures.append(complaint)


def helm(*arguments: str, values: str | None = None) -> subprocess.CompletedProcess:
    return subprocess.run([HELM, *arguments], input=values, capture_output=True, text=True, timeout=120)


def render(case: pathlib.Path, kubernetes: str) -> str:
    done = helm("template", RELEASE, str(CHART), "--namespace", NAMESPACE, "--values", str(case), "--kube-version", kubernetes)
    expect(done.returncode == 0, f"{case.stem} on {kubernetes}: helm template failed: {done.stderr.strip()}")
    return done.stdout


def check_lint(case: pathlib.Path) -> None:
    done = helm("lint", "--strict", str(CHART), "--values", str(case))
    expect(done.returncode == 0, f"{case.stem}: helm lint failed: {done.stdout.strip()}")


def check_schema_refuses(name: str, values: dict, complaint: str) -> None:
    least = CHART / "ci" / "whole-cluster.yaml"
    done = helm("template", RELEASE, str(CHART), "--values", str(least), "--values", "-", values=yaml.safe_dump(values))
    expect(done.returncode != 0, f"the schema takes {name}")
    expect(complaint in done.stderr, f"the schema refuses {name} without naming {complaint!r}: {done.stderr.strip()}")


def check_old_kubernetes_is_refused() -> None:
    case = str(CHART / "ci" / "whole-cluster.yaml")
    done = helm("template", RELEASE, str(CHART), "--values", case, "--kube-version", "1.29.0")
    expect(done.returncode != 0 and "kubeVersion" in done.stderr, "Kubernetes 1.29 is not refused")


def check_manifest(where: str, manifest: dict, kubernetes: str) -> None:
    try:
        kubernetes_validate.validate(manifest, kubernetes, strict=True)
    except Exception as error:  # noqa: BLE001 - its error types differ from release to release
        failures.append(f"{where}: {manifest['kind']} {manifest['metadata']['name']} is not valid: {error}")


def rights(role: dict) -> dict:
    """A role's rules as (group, resource) -> verbs; rules with resource names are left to the caller."""
    granted: dict = {}
    for rule in role["rules"]:
        for key in itertools.product(rule["apiGroups"], rule["resources"]):
            granted.setdefault(key, set()).update(rule["verbs"])
    return granted


def check_rights(name: str, values: dict, manifests: list[dict]) -> None:
    roles = [manifest for manifest in manifests if manifest["kind"] in ("Role", "ClusterRole")]
    text = yaml.safe_dump([role["rules"] for role in roles])
    expect("*" not in text, f"{name}: a role holds a wildcard")
    expect("nodes" not in text and "escalate" not in text, f"{name}: a role asks too much")
    impersonation = values.get("impersonation", {}).get("enabled", False)
    expect(impersonation or "impersonate" not in text, f"{name}: a role may impersonate though that is switched off")
    if not values.get("rbac", {}).get("create", True):
        expect(roles == [], f"{name}: roles are made though they are not wanted")
        return
    namespaces = values.get("namespaces", [])
    identity = [role for role in roles if role["metadata"]["name"].endswith("-identity")]
    impersonating = [role for role in roles if role["metadata"]["name"].endswith("-impersonation")]
    others = [role for role in roles if role not in identity and role not in impersonating]
    check_impersonation_role(name, values, impersonating)
    expect(len(identity) == 1, f"{name}: there is not exactly one identity role")
    check_identity_role(name, values, identity[0])
    if namespaces:
        expect(sorted(role["metadata"]["namespace"] for role in others) == sorted(namespaces), f"{name}: roles elsewhere")
        expect({role["kind"] for role in others} == {"Role"}, f"{name}: a cluster role though namespaces are listed")
        wanted = dict(POD_RIGHTS)
    else:
        expect([role["kind"] for role in others] == ["ClusterRole"], f"{name}: not exactly one cluster role")
        wanted = POD_RIGHTS | {("", "namespaces"): READ}
    if values.get("debug", {}).get("enabled"):
        wanted = wanted | {("", "pods/ephemeralcontainers"): {"patch"}}
    for role in others:
        expect(rights(role) == wanted, f"{name}: {role['metadata']} grants {rights(role)}")
    check_bindings(name, manifests, roles)


def check_impersonation_role(name: str, values: dict, roles: list[dict]) -> None:
    settings = values.get("impersonation", {})
    if not settings.get("enabled"):
        expect(roles == [], f"{name}: a role to impersonate though that is switched off")
        return
    expect(len(roles) == 1, f"{name}: there is not exactly one role to impersonate")
    for rule in roles[0]["rules"]:
        expect(rule["verbs"] == ["impersonate"] and len(rule["resources"]) == 1, f"{name}: {rule}")
        (resource,) = rule["resources"]
        names = rule.get("resourceNames")
        expect(names == (settings.get(resource) or None), f"{name}: may impersonate {resource} {names}")
        expect(resource == "users" or names, f"{name}: may impersonate every group")


def check_identity_role(name: str, values: dict, role: dict) -> None:
    secrets = [f"podlatch-podlatch-agent-{number}-identity" for number in range(values.get("replicaCount", 1))]
    named = {"apiGroups": [""], "resources": ["secrets"], "resourceNames": secrets, "verbs": ["get", "update"]}
    create = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]}
    expect(role["kind"] == "Role" and role["metadata"]["namespace"] == NAMESPACE, f"{name}: the identity role is elsewhere")
    expect(role["rules"] == [named, create], f"{name}: the identity role grants {role['rules']}")


def check_bindings(name: str, manifests: list[dict], roles: list[dict]) -> None:
    account = next(m["metadata"]["name"] for m in manifests if m["kind"] == "ServiceAccount")
    place = lambda item: (item["metadata"].get("namespace"), item["metadata"]["name"])
    bindings = [manifest for manifest in manifests if manifest["kind"] in ("RoleBinding", "ClusterRoleBinding")]
    expect(sorted(map(str, map(place, bindings))) == sorted(map(str, map(place, roles))), f"{name}: roles are not bound one to one")
    for binding in bindings:
        expect(binding["roleRef"]["name"] == binding["metadata"]["name"], f"{name}: {place(binding)} binds another role")
        subject = {"kind": "ServiceAccount", "name": account, "namespace": NAMESPACE}
        expect(binding["subjects"] == [subject], f"{name}: {place(binding)} binds somebody else")


def check_pod(name: str, pod: dict) -> None:
    """Pod Security Standard "restricted", and nothing writable."""
    expect(pod["securityContext"]["runAsNonRoot"] is True, f"{name}: may run as root")
    expect(pod["securityContext"]["runAsUser"] != 0, f"{name}: runs as root")
    expect(pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, f"{name}: no seccomp profile")
    expect(not any(pod.get(key) for key in ("hostNetwork", "hostPID", "hostIPC", "initContainers")), f"{name}: host access")
    expect(all("secret" in volume for volume in pod.get("volumes", [])), f"{name}: a volume that is no Secret")
    for container in pod["containers"]:
        wanted = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
        expect(container["securityContext"] == wanted, f"{name}: {container['securityContext']}")
        expect(container["resources"].get("limits", {}).get("memory"), f"{name}: no memory limit")


def check_replicas(name: str, values: dict, workload: dict) -> None:
    """Each replica has a name that stays, and an identity under it that its role lets it keep."""
    expect(workload["spec"]["replicas"] == values.get("replicaCount", 1), f"{name}: another number of replicas")
    (container,) = workload["spec"]["template"]["spec"]["containers"]
    names = [entry["name"] for entry in container["env"]]
    environment = {entry["name"]: entry for entry in container["env"]}
    field = environment["PODLATCH_REPLICA"]["valueFrom"]["fieldRef"]["fieldPath"]
    expect(field == "metadata.name", f"{name}: a replica is called {field}")
    expect(names.index("PODLATCH_REPLICA") < names.index("PODLATCH_IDENTITY"), f"{name}: the name comes too late to be used")
    wanted = f"secret:{NAMESPACE}/$(PODLATCH_REPLICA)-identity"
    expect(environment["PODLATCH_IDENTITY"]["value"] == wanted, f"{name}: replicas share an identity")


def check_workload(name: str, values: dict, workload: dict) -> None:
    check_replicas(name, values, workload)
    pod = workload["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    environment = {entry["name"]: entry.get("value") for entry in container["env"]}
    check_pod(name, pod)
    drain = int(environment["PODLATCH_DRAIN_TIMEOUT"].removesuffix("s"))
    expect(pod["terminationGracePeriodSeconds"] > drain, f"{name}: killed before it is drained")
    expect(container["readinessProbe"]["httpGet"]["path"] == "/readyz", f"{name}: ready is not the tunnel")
    expect(container["livenessProbe"]["httpGet"]["path"] == "/livez", f"{name}: no liveness")
    expect(environment["PODLATCH_RELAY"] == values["relay"]["address"], f"{name}: another relay")
    expect(environment["PODLATCH_CA_PIN"] == values["relay"]["caPin"], f"{name}: another pin")
    guard = values.get("guard", {})
    namespaces = values.get("namespaces") or guard.get("namespaces", [])
    expect(environment.get("PODLATCH_NAMESPACES", "") == ",".join(namespaces), f"{name}: another guard")
    labels = ",".join(guard.get("podLabels", []))
    expect(environment.get("PODLATCH_POD_LABELS", "") == labels, f"{name}: another guard of pods")
    impersonation, debug = values.get("impersonation", {}), values.get("debug", {})
    wanted = "impersonate" if impersonation.get("enabled") else None
    expect(environment.get("PODLATCH_KUBERNETES_IDENTITY") == wanted, f"{name}: another Kubernetes identity")
    groups = ",".join(impersonation.get("groups", [])) or None
    expect(environment.get("PODLATCH_IMPERSONATE_GROUPS") == groups, f"{name}: other groups")
    images = (",".join(debug.get("images", [])) or "*") if debug.get("enabled") else None
    expect(environment.get("PODLATCH_DEBUG_IMAGES") == images, f"{name}: other debug images")
    expect("PODLATCH_JOIN_TOKEN" not in environment, f"{name}: the token stands in the pod's specification")
    expect(("PODLATCH_JOIN_TOKEN_FILE" in environment) == ("joinToken" in values), f"{name}: the token is not mounted")
    known = (ROOT / "agent" / "src" / "config.rs").read_text()
    for variable in environment:
        expect(f'env = "{variable}"' in known, f"{name}: the agent knows no {variable}")
    digest = values.get("image", {}).get("digest")
    expect(not digest or container["image"].endswith(f"@{digest}"), f"{name}: the digest is not used")


def check_snapshot(case: pathlib.Path, rendered: str, write: bool) -> None:
    path = CHART / "rendered" / case.name
    if write:
        path.write_text(rendered)
    known = path.read_text() if path.exists() else ""
    if rendered != known:
        diff = difflib.unified_diff(known.splitlines(), rendered.splitlines(), "committed", "rendered now", lineterm="", n=1)
        failures.append(f"{path.relative_to(ROOT)} differs; if that is wanted: tests/chart/check.py --write\n" + "\n".join(diff))


def check_case(case: pathlib.Path, write: bool) -> None:
    values = yaml.safe_load(case.read_text())
    check_lint(case)
    for kubernetes in KUBERNETES_VERSIONS:
        rendered = render(case, kubernetes)
        manifests = [manifest for manifest in yaml.safe_load_all(rendered) if manifest]
        for manifest in manifests:
            check_manifest(f"{case.stem} on {kubernetes}", manifest, kubernetes)
    check_rights(case.stem, values, manifests)
    check_workload(case.stem, values, next(m for m in manifests if m["kind"] == "StatefulSet"))
    check_pod(f"{case.stem}: doctor", next(m for m in manifests if m["kind"] == "Pod")["spec"])
    check_snapshot(case, rendered, write)


def main() -> None:
    write = sys.argv[1:] == ["--write"]
    for case in CASES:
        check_case(case, write)
    for refused in REFUSED:
        check_schema_refuses(*refused)
    check_old_kubernetes_is_refused()
    if failures:
        sys.exit("\n".join(failures))
    versions = f"{KUBERNETES_VERSIONS[0]} to {KUBERNETES_VERSIONS[-1]}"
    print(f"{len(CASES)} installs on Kubernetes {versions} are valid; {len(REFUSED)} wrong values are refused")


if __name__ == "__main__":
    main()

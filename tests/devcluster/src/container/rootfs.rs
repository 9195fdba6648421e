//! Builds the root file system of a container, inside its own mount namespace.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_bind_recursive, mount_change, mount_remount};

use super::host::{Busybox, Host};
use super::image::Image;

/// The room for what a container writes.
const ROOT_SIZE: &std::ffi::CStr = c"mode=0755,size=512m";
/// Devices that every container has.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
/// Folders of this machine that make up a tools container; links stay links.
const TOOLS_FOLDERS: [&str; 6] = ["usr", "bin", "sbin", "lib", "lib32", "lib64"];
/// What a tools container takes from this machine's `/etc`.
const TOOLS_ETC: [&str; 24] = [
    "alternatives",
    "bash.bashrc",
    "ca-certificates",
    "debian_version",
    "fish",
    "htoprc",
    "inputrc",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "login.defs",
    "manpath.config",
    "nsswitch.conf",
    "os-release",
    "pam.conf",
    "pam.d",
    "profile",
    "python3",
    "security",
    "ssl",
    "terminfo",
    "vim",
    "zsh",
];

/// Mounts a new root at `root` (an existing folder) and fills it. The caller's mount namespace must be its own.
///
/// `/proc` is only a folder yet: it shows the PID namespace of whoever mounts it, so the first process mounts it.
pub(crate) fn build(host: &Host, image: Image, host_name: &str, root: &Path) -> Result<()> {
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).context("make mounts private")?;
    mount("tmpfs", root, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, ROOT_SIZE).context("mount the root")?;
    for folder in ["proc", "sys", "dev", "etc", "root", "run", "tmp", "var/tmp", "var/log", "home", "mnt"] {
        make_folder(root, folder)?;
    }
    for folder in ["tmp", "var/tmp"] {
        fs::set_permissions(root.join(folder), fs::Permissions::from_mode(0o1777))?;
    }
    fs::set_permissions(root.join("root"), fs::Permissions::from_mode(0o700))?;
    symlink("/run", root.join("var/run"))?;
    devices(root).context("make /dev")?;
    identity(root, host_name).context("make /etc")?;
    match image {
        Image::Busybox => {
            let busybox = host.busybox.as_ref().context("busybox is missing; run: apt-get install busybox-static")?;
            busybox_root(busybox, root)
        }
        Image::Shellless => shellless_root(host, root),
        Image::Tools => tools_root(root),
    }
}

fn busybox_root(busybox: &Busybox, root: &Path) -> Result<()> {
    make_folder(root, "bin")?;
    bind(&busybox.path, &root.join("bin/busybox"))?;
    for applet in busybox.applets.iter().filter(|applet| *applet != "busybox") {
        symlink("busybox", root.join("bin").join(applet))?;
    }
    // `env` is where scripts expect it.
    make_folder(root, "usr/bin")?;
    symlink("/bin/env", root.join("usr/bin/env"))?;
    Ok(())
}

fn shellless_root(host: &Host, root: &Path) -> Result<()> {
    bind(&host.sleep, &root.join("pause"))?;
    for library in &host.sleep_libraries {
        let target = inside(root, library);
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder)?;
        }
        bind(library, &target)?;
    }
    Ok(())
}

fn tools_root(root: &Path) -> Result<()> {
    for folder in TOOLS_FOLDERS.map(|folder| Path::new("/").join(folder)) {
        let Ok(kind) = fs::symlink_metadata(&folder) else { continue };
        let target = inside(root, &folder);
        if kind.is_symlink() {
            symlink(fs::read_link(&folder)?, &target)?;
        } else {
            bind(&folder, &target)?;
        }
    }
    for entry in TOOLS_ETC.map(|entry| Path::new("/etc").join(entry)).into_iter().filter(|entry| entry.exists()) {
        bind(&entry, &inside(root, &entry))?;
    }
    // Programs such as htop count processors there; they also live without it.
    if let Err(error) = bind(Path::new("/sys"), &root.join("sys")) {
        tracing::debug!(%error, "no /sys in the container");
    }
    Ok(())
}

fn devices(root: &Path) -> Result<()> {
    let dev = root.join("dev");
    mount("tmpfs", &dev, "tmpfs", MountFlags::NOSUID, c"mode=0755,size=64k")?;
    for device in DEVICES {
        let target = dev.join(device);
        fs::File::create(&target)?;
        mount_bind_recursive(Path::new("/dev").join(device), &target)?;
    }
    for folder in ["pts", "shm"] {
        make_folder(&dev, folder)?;
    }
    let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
    // Group 5 is "tty"; a user namespace does not know it.
    mount("devpts", dev.join("pts"), "devpts", flags, c"newinstance,ptmxmode=0666,mode=0620,gid=5")
        .or_else(|_| mount("devpts", dev.join("pts"), "devpts", flags, c"newinstance,ptmxmode=0666,mode=0620"))?;
    mount("shm", dev.join("shm"), "tmpfs", flags | MountFlags::NODEV, c"mode=1777,size=64m")?;
    for (name, target) in [
        ("ptmx", "pts/ptmx"),
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ] {
        symlink(target, dev.join(name))?;
    }
    Ok(())
}

fn identity(root: &Path, host_name: &str) -> Result<()> {
    let files = [
        ("passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n".to_owned()),
        ("group", "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n".to_owned()),
        ("hostname", format!("{host_name}\n")),
        ("hosts", format!("127.0.0.1\tlocalhost\n::1\tlocalhost\n127.0.1.1\t{host_name}\n")),
        ("resolv.conf", fs::read_to_string("/etc/resolv.conf").unwrap_or_default()),
    ];
    for (name, text) in files {
        fs::write(root.join("etc").join(name), text)?;
    }
    Ok(())
}

/// Shows a file or folder of this machine at `target`, read-only.
fn bind(source: &Path, target: &Path) -> Result<()> {
    let what = || format!("show {} in a container", source.display());
    if fs::metadata(source).with_context(what)?.is_dir() {
        fs::create_dir_all(target).with_context(what)?;
    } else {
        fs::File::create(target).with_context(what)?;
    }
    let real = fs::canonicalize(source).with_context(what)?;
    mount_bind_recursive(&real, target).with_context(what)?;
    let flags = MountFlags::BIND | MountFlags::RDONLY | MountFlags::NODEV | MountFlags::NOSUID;
    match mount_remount(target, flags, c"") {
        // In a user namespace some flags are locked; there this machine's files belong to somebody else anyway.
        Err(rustix::io::Errno::PERM) => Ok(()),
        result => result.with_context(what),
    }
}

fn inside(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

fn make_folder(root: &Path, folder: &str) -> io::Result<()> {
    fs::create_dir_all(root.join(folder))
}

//! Which programs take secrets, and how: tables for [`super::tools`].

/// Programs whose name comes before the one that matters.
pub(super) const WRAPPERS: [&str; 14] = [
    "sudo", "doas", "env", "time", "exec", "nohup", "command", "builtin", "nice", "watch", "timeout", "then", "do",
    "else",
];

/// Programs that take a secret behind a short flag, attached or as the next word; the last field names sub-commands.
pub(super) const SHORT_FLAGS: [(&[&str], &[&str], &[&str]); 17] = [
    (
        &["docker", "podman", "nerdctl", "helm", "oras", "skopeo", "buildah", "crane", "regctl", "az", "acr", "oc"],
        &["-p"],
        &["login"],
    ),
    (
        &[
            "sshpass",
            "mongo",
            "mongosh",
            "mongodump",
            "mongorestore",
            "mongoexport",
            "mongoimport",
            "cqlsh",
            "rdesktop",
        ],
        &["-p"],
        &[],
    ),
    (&["yt-dlp", "youtube-dl", "crackmapexec", "nxc", "medusa", "sqlcmd-go", "evil-winrm"], &["-p"], &[]),
    (&["redis-cli"], &["-a"], &[]),
    (&["ldapsearch", "ldapadd", "ldapmodify", "ldapdelete", "ldapwhoami", "ldapcompare"], &["-w"], &[]),
    (&["ldappasswd"], &["-w", "-s", "-a"], &[]),
    (&["sqlcmd", "bcp", "mosquitto_pub", "mosquitto_sub", "ipmitool", "zip", "unzip"], &["-P"], &[]),
    (&["7z", "7za", "7zr", "rar", "unrar"], &["-p", "-hp"], &[]),
    (&["useradd", "usermod"], &["-p"], &[]),
    (&["ssh-keygen"], &["-N", "-P"], &[]),
    (&["openssl"], &["-k", "-K"], &["enc", "aes-256-cbc"]),
    (&["gh", "glab"], &["-b", "--body"], &["secret", "variable"]),
    (&["doctl", "snyk", "fly", "flyctl"], &["-t"], &["auth"]),
    (&["snmpwalk", "snmpget", "snmpset"], &["-A", "-X", "-c"], &[]),
    (&["kinit"], &["--password"], &[]),
    (&["gpg", "gpg2"], &["--passphrase"], &[]),
    (&["hydra"], &["-p"], &[]),
];

/// Sub-commands behind which a word is a secret: program, words before, how many words stand between.
pub(super) const POSITIONAL: [(&str, &[&str], usize); 17] = [
    ("vault", &["login"], 0),
    ("snyk", &["auth"], 0),
    ("ngrok", &["authtoken"], 0),
    ("ngrok", &["add-authtoken"], 0),
    ("aws", &["configure", "set", "aws_secret_access_key"], 0),
    ("aws", &["configure", "set", "aws_session_token"], 0),
    ("rabbitmqctl", &["add_user"], 1),
    ("rabbitmqctl", &["change_password"], 1),
    ("redis-cli", &["auth"], 0),
    ("redis-cli", &["AUTH"], 0),
    ("redis-cli", &["requirepass"], 0),
    ("wpa_passphrase", &[], 1),
    ("nmcli", &["password"], 0),
    ("net", &["user"], 1),
    ("npm", &["_authToken"], 0),
    ("influx", &["auth"], 1),
    ("pulumi", &["--secret"], 1),
];

/// Programs that read a secret from a pipe, and the words that say so.
pub(super) const READERS: [(&str, &str); 16] = [
    ("sudo", "-S"),
    ("docker", "--password-stdin"),
    ("podman", "--password-stdin"),
    ("helm", "--password-stdin"),
    ("nerdctl", "--password-stdin"),
    ("gh", "--with-token"),
    ("glab", "--stdin"),
    ("passwd", ""),
    ("chpasswd", ""),
    ("kinit", ""),
    ("cryptsetup", ""),
    ("smbpasswd", ""),
    ("su", ""),
    ("vault", "-"),
    ("sshpass", ""),
    ("ecryptfs-add-passphrase", ""),
];

/// Names of flags and settings that hold secrets: the whole name, or its last parts.
pub(super) const NAMES: &str = r"(?:[a-z0-9]+[-_.])*(?:[a-z0-9]*(?:passw(?:or)?d|passwort|passphrase|passcode|secret|token|apikey|authkey)|(?:src|dest)?storepass|(?:src|dest)?keypass|pass|pwd|auth[-_]key|api[-_]key|access[-_]?key|secret[-_]?key|private[-_]?key|encryption[-_]?key|signing[-_]?key|master[-_]?key|account[-_]?key|storage[-_]?key|shared[-_]?access[-_]?key|credentials?|psk|requirepass|secret[-_]key[-_]base|sas)";

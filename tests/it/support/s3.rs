//! A real S3 server of a test's own, whose objects are files in a folder.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::LazyLock,
    time::{Duration, SystemTime},
};

use lifeboat::{
    domain::store::{S3Credentials, S3Place, SecretSource},
    recovery::s3::Bucket,
};

/// The bucket that is there.
pub const BUCKET: &str = "drills";

pub const ACCESS_KEY_ID: &str = "test-key";
pub const SECRET_ACCESS_KEY: &str = "test-secret-of-the-store";

/// How long the server may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

static BINARY: LazyLock<PathBuf> = LazyLock::new(|| {
    if let Some(path) = std::env::var_os("LIFEBOAT_TEST_S3") {
        return path.into();
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(".ci/s3-server");
    let made = Command::new(script)
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(made.status.success(), "there is no S3 server to test on");
    PathBuf::from(String::from_utf8(made.stdout).unwrap().trim())
});

/// The server; gone when dropped.
pub struct Store {
    folder: tempfile::TempDir,
    port: u16,
    server: Option<Child>,
}

impl Store {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // The binary under test may run as another user.
        run(Command::new("chmod").arg("755").arg(folder.path()));
        for name in [format!("objects/{BUCKET}"), "versions".to_owned()] {
            fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        fs::write(folder.path().join("id"), ACCESS_KEY_ID).unwrap();
        fs::write(folder.path().join("secret"), SECRET_ACCESS_KEY).unwrap();
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let mut store = Self {
            folder,
            port,
            server: None,
        };
        store.start();
        store
    }

    /// Starts the server, again or for the first time.
    pub fn start(&mut self) {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join("log"))
            .unwrap();
        let server = Command::new(&*BINARY)
            .env("ROOT_ACCESS_KEY", ACCESS_KEY_ID)
            .env("ROOT_SECRET_KEY", SECRET_ACCESS_KEY)
            .args(["--port", &format!("127.0.0.1:{}", self.port), "posix"])
            .arg("--versioning-dir")
            .arg(self.folder.path().join("versions"))
            .arg(self.folder.path().join("objects"))
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        self.server = Some(server);
        until("the S3 server", || {
            TcpStream::connect(("127.0.0.1", self.port)).is_ok()
        });
    }

    /// Kills the server at once.
    pub fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill().unwrap();
            server.wait().unwrap();
        }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder that holds the bucket's objects.
    pub fn objects(&self) -> PathBuf {
        self.folder.path().join("objects").join(BUCKET)
    }

    pub fn place(&self) -> S3Place {
        self.place_at(self.port)
    }

    /// The same by way of something that listens on another port.
    pub fn place_at(&self, port: u16) -> S3Place {
        let file = |name: &str| SecretSource::File(self.folder.path().join(name));
        S3Place {
            endpoint: Some(format!("http://127.0.0.1:{port}")),
            region: "us-east-1".to_owned(),
            bucket: BUCKET.to_owned(),
            path_style: true,
            credentials: Some(S3Credentials {
                access_key_id: file("id"),
                secret_access_key: file("secret"),
                session_token: None,
            }),
            ca_certificates: None,
        }
    }

    /// The place as a drill file says it; `key` as it stands there.
    pub fn yaml(&self, key: &str) -> String {
        let folder = self.folder.path().display();
        format!(
            "{{ endpoint: \"http://127.0.0.1:{}\", bucket: {BUCKET}, key: \"{key}\", \
             credentials: {{ accessKeyId: {{ file: {folder}/id }}, secretAccessKey: {{ file: \
             {folder}/secret }} }} }}",
            self.port
        )
    }

    /// The file that holds the secret.
    pub fn secret_file(&self) -> String {
        self.folder.path().join("secret").display().to_string()
    }

    pub async fn bucket(&self) -> Bucket {
        Bucket::open(&self.place()).await.unwrap()
    }

    /// The keys of all objects, by the server's files.
    pub fn keys(&self) -> Vec<String> {
        let root = self.objects();
        let mut keys: Vec<String> = files(&root)
            .iter()
            .map(|path| path.strip_prefix(&root).unwrap().display().to_string())
            .filter(|key| !key.starts_with(".sgwtmp/"))
            .collect();
        keys.sort();
        keys
    }

    /// How many uploads are unfinished.
    pub fn uploads(&self) -> usize {
        let folder = self.objects().join(".sgwtmp/multipart");
        fs::read_dir(folder).map_or(0, |objects| {
            let uploads = objects.map(|object| fs::read_dir(object.unwrap().path()));
            uploads
                .map(|uploads| uploads.map_or(0, Iterator::count))
                .sum()
        })
    }

    /// Parts of uploads that have arrived.
    pub fn parts(&self) -> usize {
        files(&self.objects().join(".sgwtmp/multipart")).len()
    }

    /// Puts an object there, past the server's interface, of a given age.
    pub fn place_object(&self, key: &str, content: &[u8], age: Duration) {
        let path = self.objects().join(key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        let then = SystemTime::now() - age;
        let file = fs::File::options().append(true).open(path).unwrap();
        file.set_modified(then).unwrap();
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

/// Waits for something that has to come.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The same, while other tasks go on.
pub async fn until_meanwhile(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                found.push(entry.path());
            }
        }
    }
    found
}

fn run(command: &mut Command) {
    assert!(command.status().unwrap().success(), "{command:?}");
}

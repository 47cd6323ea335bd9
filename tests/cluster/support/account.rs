//! Lifeboat's own account in the cluster, with the rights that the manifests in
//! `deploy/kubernetes` give, and nothing more. Every test has its own, so that
//! none meets an installation that is there, or another test's.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};

use super::kubectl::{apply, feed, kubectl, objects, try_kubectl};

/// The manifests' cluster-wide names begin with this.
const PREFIX: &str = "lifeboat-";

pub struct Account {
    /// Of its namespace and of itself.
    pub name: String,
    place: tempfile::TempDir,
}

impl Account {
    /// Installs the manifests under names of its own, and gets a token.
    pub fn new(test: &str) -> Self {
        let account = Self {
            name: format!("t-of-{test}"),
            place: tempfile::tempdir().unwrap(),
        };
        account.remove();
        apply(&account.manifests("."));
        let token = kubectl(&[
            "-n",
            &account.name,
            "create",
            "token",
            &account.name,
            "--duration=2h",
        ]);
        std::fs::write(account.kubeconfig(), kubeconfig_with(token.trim())).unwrap();
        account
    }

    /// What a folder below `deploy/kubernetes` holds, under names of its own.
    pub fn manifests(&self, folder: &str) -> String {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("deploy/kubernetes")
            .join(folder);
        let text = Command::new("kubectl")
            .arg("kustomize")
            .arg(folder)
            .output()
            .unwrap();
        let text = String::from_utf8(text.stdout).unwrap();
        assert!(!text.is_empty(), "kustomize gave nothing");
        let name = &self.name;
        text.replace(PREFIX, &format!("{name}-{PREFIX}"))
            .replace("name: lifeboat\n", &format!("name: {name}\n"))
            .replace("Name: lifeboat\n", &format!("Name: {name}\n"))
            .replace("namespace: lifeboat\n", &format!("namespace: {name}\n"))
            .replace(
                "serviceaccount:lifeboat:lifeboat",
                &format!("serviceaccount:{name}:{name}"),
            )
    }

    /// Lets it drill what is in a namespace, as its owner would.
    pub fn may_drill(&self, namespace: &str, secrets: &[&str]) {
        let text = self
            .manifests("source")
            .replace("namespace: shop\n", &format!("namespace: {namespace}\n"));
        apply(&text);
        let names =
            json!([{ "op": "replace", "path": "/rules/0/resourceNames", "value": secrets }]);
        let role = self.role("lifeboat-secrets");
        let patch = names.to_string();
        kubectl(&[
            "-n",
            namespace,
            "patch",
            "role",
            &role,
            "--type=json",
            "-p",
            &patch,
        ]);
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.place.path().join("kubeconfig")
    }

    /// Runs kubectl as the account, which reads `input`; gives what it has
    /// against it where it fails.
    pub fn kubectl(&self, args: &[&str], input: Option<&str>) -> Result<(), String> {
        let mut command = Command::new("kubectl");
        command.env("KUBECONFIG", self.kubeconfig()).args(args);
        let output = feed(&mut command, input.unwrap_or_default());
        if output.status.success() {
            return Ok(());
        }
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// What the manifests' name is called here.
    pub fn role(&self, name: &str) -> String {
        format!("{}-{name}", self.name)
    }

    /// The rules of a ClusterRole.
    pub fn rules(&self, role: &str) -> Vec<Value> {
        let role = objects(&["clusterrole", &self.role(role)]).remove(0);
        role["rules"].as_array().unwrap().clone()
    }

    pub fn set_rules(&self, role: &str, rules: &[Value]) {
        let patch = json!({ "rules": rules }).to_string();
        kubectl(&[
            "patch",
            "clusterrole",
            &self.role(role),
            "--type=merge",
            "-p",
            &patch,
        ]);
    }

    fn remove(&self) {
        let gone = ["--ignore-not-found", "--wait=true"];
        try_kubectl(&["delete", "namespace", &self.name, gone[0], gone[1]]);
        let kinds = [
            "clusterrole",
            "clusterrolebinding",
            "validatingadmissionpolicy",
            "validatingadmissionpolicybinding",
        ];
        for kind in kinds {
            for object in objects(&[kind]) {
                let name = object["metadata"]["name"].as_str().unwrap();
                if name.starts_with(&format!("{}-", self.name)) {
                    try_kubectl(&["delete", kind, name, gone[0]]);
                }
            }
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.remove();
    }
}

/// The cluster's kubeconfig with the token in place of whoever it is for.
fn kubeconfig_with(token: &str) -> String {
    let text = kubectl(&["config", "view", "--raw", "--minify", "-o", "json"]);
    let mut config: Value = serde_json::from_str(&text).unwrap();
    config["users"][0]["user"] = json!({ "token": token });
    config.to_string()
}

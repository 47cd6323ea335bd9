#!/bin/sh
# What a careful administrator would do by hand: a snapshot of a workload's
# volume restored into a namespace of its own, everything applied at once, until
# the copy has answered a read and committed a write. Prints the seconds that
# took, and removes everything.
#
# Usage: kubernetes.sh SOURCE SNAPSHOT NAMESPACE MANIFESTS
set -eu
source=$1 snapshot=$2 place=$3 manifests=$4
begun=$(date +%s%N)
content=$(kubectl -n "$source" get volumesnapshot "$snapshot" \
    -o 'jsonpath={.status.boundVolumeSnapshotContentName}')
handle=$(kubectl get volumesnapshotcontent "$content" -o 'jsonpath={.status.snapshotHandle}')
driver=$(kubectl get volumesnapshotcontent "$content" -o 'jsonpath={.spec.driver}')
class=$(kubectl -n "$source" get persistentvolumeclaim data-db-0 \
    -o 'jsonpath={.spec.storageClassName}')
kubectl create namespace "$place" >/dev/null
trap 'kubectl delete namespace "$place" >/dev/null
    kubectl delete volumesnapshotcontent "$place" >/dev/null' EXIT
{
    cat <<YAML
apiVersion: snapshot.storage.k8s.io/v1
kind: VolumeSnapshotContent
metadata: { name: $place }
spec:
  deletionPolicy: Retain
  driver: $driver
  source: { snapshotHandle: $handle }
  volumeSnapshotRef: { name: copy, namespace: $place }
---
apiVersion: snapshot.storage.k8s.io/v1
kind: VolumeSnapshot
metadata: { name: copy, namespace: $place }
spec: { source: { volumeSnapshotContentName: $place } }
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: { name: data-db-0, namespace: $place }
spec:
  accessModes: [ReadWriteOnce]
  storageClassName: $class
  dataSource: { apiGroup: snapshot.storage.k8s.io, kind: VolumeSnapshot, name: copy }
  resources: { requests: { storage: 1Gi } }
---
YAML
    cat "$manifests"
} | kubectl apply -f - >/dev/null
kubectl -n "$place" rollout status statefulset/db --timeout=180s >/dev/null
kubectl -n "$place" exec db-0 -- psql -XqAt -v ON_ERROR_STOP=1 -U postgres -d shop \
    -c 'select note from orders limit 1' -c 'create table probe (written bigint)' \
    -c 'insert into probe values (1)' -c 'drop table probe' >/dev/null
ended=$(date +%s%N)
echo "$((ended - begun))"

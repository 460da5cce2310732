"""Makes real users and accounts: certificates that the cluster signs, tokens that it issues, and users whom an administrator impersonates."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from dynamiq_operator.model.base import GROUP
from tests.support.admission import made
from tests.support.api import Api, Manifest
from tests.support.swarm import Credentials
from tests.support.waiting import eventually

CSRS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
AUTHORIZATION = "authorization.k8s.io"
SIGNER = "kubernetes.io/kube-apiserver-client"


@dataclass(frozen=True)
class Identity:
    """The user of a request at the API server; `headers` impersonate."""

    name: str
    credentials: Credentials | None = None
    headers: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return (
            f"{self.name} ({'impersonated' if self.headers else 'token' if self.credentials and self.credentials.token else 'certificate'})"
        )


def impersonated(user: str, *groups: str, **extra: str) -> Identity:
    headers = [("Impersonate-User", user), *(("Impersonate-Group", group) for group in groups)]
    return Identity(user, headers=(*headers, *((f"Impersonate-Extra-{name}", value) for name, value in extra.items())))


def account(api: Api, namespace: str, name: str) -> Identity:
    """Makes a service account of the namespace, with a token from the TokenRequest API."""
    meta = {"name": name, "namespace": namespace}
    made(api.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta}))
    url = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
    answer = api.request("POST", url, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}})
    return Identity(f"system:serviceaccount:{namespace}:{name}", Credentials(token=made(answer)["status"]["token"]))


def user(api: Api, name: str, *groups: str) -> Identity:
    """Makes a user with a certificate that the cluster has signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    names = [x509.NameAttribute(NameOID.COMMON_NAME, name), *(x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups)]
    signing_request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(names)).sign(key, hashes.SHA256())
    encoded = base64.b64encode(signing_request.public_bytes(serialization.Encoding.PEM)).decode()
    spec = {"request": encoded, "signerName": SIGNER, "usages": ["client auth"]}
    request = {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"generateName": "tests-"},
        "spec": spec,
    }
    created = made(api.request("POST", CSRS, request))
    url = f"{CSRS}/{created['metadata']['name']}"
    created["status"] = {"conditions": [{"type": "Approved", "status": "True", "reason": "Test", "message": "for a test"}]}
    made(api.request("PUT", f"{url}/approval", created))
    signed: str = eventually("the certificate is signed", lambda: made(api.request("GET", url))["status"].get("certificate"))
    made(api.request("DELETE", url))
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Identity(name, Credentials(certificate=base64.b64decode(signed), key=pem))


def allow_rows(api: Api, namespace: str) -> None:
    """Lets every authenticated user create and apply rows in a namespace."""
    group = "rbac.authorization.k8s.io"
    meta = {"name": "rows-of-everybody", "namespace": namespace}
    rules = [{"apiGroups": [GROUP], "resources": ["deployments"], "verbs": ["create", "deploy", "patch", "get"]}]
    role: Manifest = {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": meta, "rules": rules}
    binding: Manifest = {
        "apiVersion": f"{group}/v1",
        "kind": "RoleBinding",
        "metadata": meta,
        "roleRef": {"apiGroup": group, "kind": "Role", "name": meta["name"]},
        "subjects": [{"apiGroup": group, "kind": "Group", "name": "system:authenticated"}],
    }
    for manifest in (role, binding):
        made(api.apply(manifest))
    attributes = {"namespace": namespace, "group": GROUP, "resource": "deployments", "verb": "deploy"}
    review = {"apiVersion": f"{AUTHORIZATION}/v1", "kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": attributes}}
    anybody = api.acting_as("anybody")
    reviews = f"/apis/{AUTHORIZATION}/v1/selfsubjectaccessreviews"
    eventually("the API server goes by it", lambda: made(anybody.request("POST", reviews, review))["status"]["allowed"])

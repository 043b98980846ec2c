"""AWS's models of its services: what an operation answers.

The models are the files of botocore; one is read when a mock first needs it.
"""

import gzip
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Final

from eventmill.asl.syntax import Resource
from eventmill.model import decode_json
from eventmill.record import record

# Services whose name in a Resource is not that of their folder, hyphens and "service" left aside.
_FOLDERS: Final[Mapping[str, str]] = {
    "applicationdiscovery": "discovery",
    "cloudwatchlogs": "logs",
    "cognitoidentityprovider": "cognito-idp",
    "costandusagereport": "cur",
    "costexplorer": "ce",
    "databasemigration": "dms",
    "directory": "ds",
    "elasticloadbalancing": "elb",
    "elasticloadbalancingv2": "elbv2",
    "elasticmapreduce": "emr",
    "elasticsearch": "es",
    "eventbridge": "events",
    "iotdataplane": "iot-data",
    "iotjobsdataplane": "iot-jobs-data",
    "lexmodelbuilding": "lex-models",
    "lexmodelsv2": "lexv2-models",
    "lexruntime": "lex-runtime",
    "lexruntimev2": "lexv2-runtime",
    "marketplaceentitlement": "marketplace-entitlement",
    "marketplacemetering": "meteringmarketplace",
    "migrationhub": "mgh",
    "pinpointsmsvoice": "sms-voice",
    "serverlessapplicationrepository": "serverlessrepo",
    "sfn": "stepfunctions",
    "simpledb": "sdb",
    "states": "stepfunctions",
}

_MODELS_KEPT: Final = 8  # some are tens of megabytes in memory

# A `.sync` integration answers with what it asks for until the work is done.
_POLLED: Final[Mapping[str, str]] = {
    "athena:startQueryExecution": "getQueryExecution",
    "batch:submitJob": "describeJobs",
    "codebuild:startBuild": "batchGetBuilds",
    "ecs:runTask": "describeTasks",
    "glue:startJobRun": "getJobRun",
    "states:startExecution": "describeExecution",
}


@record
class Shape:
    """A type of a service's model: `facts` as botocore has them, and the types they refer to."""

    facts: Mapping[str, Any]
    shapes: Mapping[str, Mapping[str, Any]]

    @property
    def type(self) -> str:
        """`structure`, `list`, `map`, `string`, `integer` and so on."""
        return str(self.facts["type"])

    def member(self, name: str) -> "Shape | None":
        """The type of a structure's member; the case of letters does not count.

        Step Functions writes `SsekmsKeyId` where the model has `SSEKMSKeyId`.
        """
        for known, reference in self.facts["members"].items():
            if known.lower() == name.lower():
                return self._shape(reference)
        return None

    def required(self) -> list[str]:
        """The members that a structure must have, spelled as Step Functions does."""
        return [name[0].upper() + name[1:] for name in self.facts.get("required", ())]

    def element(self) -> "Shape":
        """The type of what a list holds, or of a map's values."""
        return self._shape(self.facts["member" if self.type == "list" else "value"])

    def _shape(self, reference: Mapping[str, Any]) -> "Shape":
        return Shape(facts=self.shapes[reference["shape"]], shapes=self.shapes)


def output_shape(resource: Resource) -> Shape | None:
    """What the call of `resource` answers; None when AWS's models do not say it."""
    service = resource.service.removeprefix("aws-sdk:")
    action, _, pattern = resource.action.partition(".")
    if pattern.startswith("sync"):
        polled = _POLLED.get(f"{service}:{action}")
        if polled is None:
            return None
        action = polled
    model = _model(service)
    operation = None if model is None else _operation(model, action)
    if model is None or operation is None or "output" not in operation:
        return None
    shapes = model["shapes"]
    return Shape(facts=shapes[operation["output"]["shape"]], shapes=shapes)


def _operation(model: Mapping[str, Any], action: str) -> Mapping[str, Any] | None:
    for name, operation in model["operations"].items():
        if name.lower() == action.lower():
            found: Mapping[str, Any] = operation
            return found
    return None


@lru_cache(maxsize=_MODELS_KEPT)
def _model(service: str) -> Mapping[str, Any] | None:
    folder = _folder(service)
    if folder is None:
        return None
    newest = max((each for each in folder.iterdir() if each.is_dir()), key=lambda each: each.name)
    model = decode_json(gzip.decompress((newest / "service-2.json.gz").read_bytes()))
    assert isinstance(model, dict), "a model is an object"
    return model


def _folder(service: str) -> Traversable | None:
    named = {each.name.replace("-", ""): each for each in (files("botocore") / "data").iterdir()}
    bare = service.removesuffix("service")
    names = (_FOLDERS.get(bare, bare), service)
    return next((named[key] for name in names if (key := name.replace("-", "")) in named), None)

"""Materialisations and checks as Dagster records them: to find them, and to make the bulk lane's."""

from collections.abc import Iterator, Mapping
from datetime import date
from hashlib import sha256
from typing import Any

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationTargetMaterializationData,
)
from dagster._core.definitions.data_version import (
    CODE_VERSION_TAG,
    DATA_VERSION_IS_USER_PROVIDED_TAG,
    DATA_VERSION_TAG,
    DEFAULT_DATA_VERSION,
    NULL_EVENT_POINTER,
    compute_logical_data_version,
    extract_data_version_from_entry,
    get_input_data_version_tag,
    get_input_event_pointer_tag,
)

from pipeline_assets.checks import Check, Finding


def latest_materialisation(
    instance: dg.DagsterInstance, key: dg.AssetKey, day: date
) -> dg.EventLogRecord | None:
    """The latest materialisation of an asset's partition, None if there is none."""
    of_day = dg.AssetRecordsFilter(asset_key=key, asset_partitions=[str(day)])
    return next(iter(instance.fetch_materializations(of_day, limit=1).records), None)


def materialisation(
    instance: dg.DagsterInstance,
    asset: dg.AssetSpec,
    day: date,
    metadata: Mapping[str, Any],
    data_version: dg.DataVersion | None = None,
) -> dg.AssetMaterialization:
    """A partition's materialisation, with the code and data versions that make it up to date.

    The versions of the asset's inputs are those recorded last, so parents must be recorded first. Its
    own data version follows from theirs and the code's, unless it is given.
    """
    parents = {
        dep.asset_key: latest_materialisation(instance, dep.asset_key, day) for dep in asset.deps
    }
    versions = {key: _input_version(record) for key, record in parents.items()}
    version = data_version or compute_logical_data_version(asset.code_version, versions)
    tags = {CODE_VERSION_TAG: asset.code_version, DATA_VERSION_TAG: version.value}
    if data_version:
        tags[DATA_VERSION_IS_USER_PROVIDED_TAG] = "true"
    for key, record in parents.items():
        tags[get_input_data_version_tag(key)] = versions[key].value
        tags[get_input_event_pointer_tag(key)] = (
            str(record.storage_id) if record else NULL_EVENT_POINTER
        )
    return dg.AssetMaterialization(asset.key, partition=str(day), metadata=metadata, tags=tags)


def _input_version(record: dg.EventLogRecord | None) -> dg.DataVersion:
    """The version of a partitioned input: a digest of its partition's, as Dagster computes it."""
    if record is None:
        return DEFAULT_DATA_VERSION
    version = extract_data_version_from_entry(record.event_log_entry) or DEFAULT_DATA_VERSION
    return dg.DataVersion(sha256(version.value.encode()).hexdigest())


def evaluations(
    instance: dg.DagsterInstance,
    key: dg.AssetKey,
    day: date,
    found: list[tuple[Check, Finding]],
) -> Iterator[dg.AssetCheckEvaluation]:
    """The evaluations of a partition's checks, of its latest materialisation."""
    record = latest_materialisation(instance, key, day)
    for check, finding in found:
        yield dg.AssetCheckEvaluation(
            asset_key=key,
            check_name=check.name,
            passed=finding.passed,
            metadata=finding.figures,
            target_materialization_data=AssetCheckEvaluationTargetMaterializationData(
                storage_id=record.storage_id, run_id=record.run_id, timestamp=record.timestamp
            ),
            severity=check.severity,
            description=finding.message,
            blocking=check.is_fatal,
            partition=str(day),
        )

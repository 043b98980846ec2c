"""A sensor for each source that triggers name, with what it needs."""

from collections.abc import Mapping, Sequence
from functools import partial
from importlib import import_module

from eventmill.errors import SettingsError
from eventmill.objects.s3 import S3ObjectStore
from eventmill.ports import Clock, EventLog, Remember, Sensor, Transaction
from eventmill.runtime.project import Project
from eventmill.runtime.settings import Settings
from eventmill.runtime.supervisor import Watch
from eventmill.sensors.afterwards import Processing
from eventmill.sensors.filesystem import FilesystemSensor
from eventmill.sensors.s3.listed import S3ListingSensor
from eventmill.sensors.s3.notified import S3QueueSensor
from eventmill.sensors.schedule import ScheduleSensor
from eventmill.triggers.kafka import KafkaSource
from eventmill.triggers.listeners import Listeners
from eventmill.triggers.s3 import S3ListingSource, S3QueueSource
from eventmill.triggers.schedule import ScheduleSource
from eventmill.triggers.sources import Source
from eventmill.triggers.trigger import Trigger


def watches_of(
    settings: Settings, project: Project, clock: Clock, log: EventLog, processing: Processing
) -> tuple[Watch, ...]:
    """A sensor for each source; triggers with equal sources share one.

    Raises:
        SettingsError: A source needs a driver that is not installed.
    """
    by_source: dict[Source, list[Trigger]] = {}
    for trigger in project.triggers:
        if trigger.source is not None:
            by_source.setdefault(trigger.source, []).append(trigger)
    return tuple(
        Watch(
            sensor=_sensor(settings, source, clock, log, triggers, processing),
            listeners=Listeners(triggers),
        )
        for source, triggers in by_source.items()
    )


def _sensor(
    settings: Settings,
    source: Source,
    clock: Clock,
    log: EventLog,
    triggers: Sequence[Trigger],
    processing: Processing,
) -> Sensor:
    async def remember(state: Mapping[str, bytes | None]) -> None:
        kept = {(source.name, key): value for key, value in state.items()}
        await log.commit(Transaction(sensor_state=kept))

    if isinstance(source, S3QueueSource):
        return S3QueueSensor(source, home=settings.home, clock=clock)
    if isinstance(source, S3ListingSource):
        open_store = partial(
            S3ObjectStore.open,
            endpoint=source.endpoint_url or settings.objects.endpoint,
            region=source.region or settings.objects.region,
        )
        return S3ListingSensor(
            source, home=settings.home, clock=clock, open_store=open_store, remember=remember
        )
    if isinstance(source, ScheduleSource):
        paused = not any(trigger.enabled for trigger in triggers)
        return ScheduleSensor(
            source, home=settings.home, clock=clock, remember=remember, paused=paused
        )
    if isinstance(source, KafkaSource):
        return _kafka_sensor(settings, source, clock, remember)
    return FilesystemSensor(
        source,
        project=settings.project,
        home=settings.home,
        clock=clock,
        remember=remember,
        processing=processing,
    )


def _kafka_sensor(
    settings: Settings, source: KafkaSource, clock: Clock, remember: Remember
) -> Sensor:
    try:
        # Who reads no topics shall not wait for the driver, nor need it.
        module = import_module("eventmill.sensors.kafka.sensor")
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"triggers of Kafka need {error.name}: pip install 'eventmill[kafka]'"
        ) from error
    sensor: Sensor = module.KafkaSensor(
        source, project=settings.project, home=settings.home, clock=clock, remember=remember
    )
    return sensor

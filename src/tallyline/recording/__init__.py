"""What a source is answered, kept with secrets removed, and given again where there is no service."""

from tallyline.recording.answers import NotRecorded
from tallyline.recording.record import record, replaying
from tallyline.recording.recording import FOLDER, Recording

__all__ = ["FOLDER", "NotRecorded", "Recording", "record", "replaying"]

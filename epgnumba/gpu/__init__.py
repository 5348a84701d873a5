"""Calls on a CUDA device: what lies there stays there, what lies in host memory is moved in chunks."""

from .choose import find_home, read_device
from .job import DeviceJob, HostJob
from .tissue import DeviceTissue

__all__ = ["DeviceJob", "DeviceTissue", "HostJob", "find_home", "read_device"]

"""What trials run on: versions, devices, disks."""

"""Many runs at once, on the devices and by the processes that there are."""

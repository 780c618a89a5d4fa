"""Files behind a small interface (`base`), and its implementation on local disks (`local`)."""

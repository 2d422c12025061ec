"""Command-line programs; installed as tfgig-export, tfgig-explain and tfgig-demo."""

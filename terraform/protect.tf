# Refuses `terraform destroy` before anything is gone. Preconditions are not looked at while destroying, and
# prevent_destroy takes no variable; a provisioner of a resource that depends on all others runs first of all, and when
# it fails, nothing it depends on is touched. It reads what was applied last: apply protect_data = false, then destroy.
#
# Where this is passed by (destroy -target, a console), the services refuse themselves: deletion protection of the
# database and the cluster, buckets and repositories that are not empty.

resource "terraform_data" "protect" {
  input = {
    protect_data = var.protect_data
    message      = "protect_data is true: destroying ${local.name} would lose its zones, its database and their backups. To do so nevertheless: terraform apply -var protect_data=false, then terraform destroy."
  }

  provisioner "local-exec" {
    when    = destroy
    command = self.input.protect_data ? "echo \"$MESSAGE\" >&2; exit 1" : "true"
    environment = {
      MESSAGE = self.input.message
    }
  }

  # Every resource that no other depends on; a test follows the rest from here.
  depends_on = [
    aws_default_security_group.this,
  ]
}

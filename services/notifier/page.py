from fastapi import APIRouter
from services.notifier.apply import Applier


def router(applier: Applier) -> APIRouter:
    return APIRouter()
